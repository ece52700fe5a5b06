"""The verbs on aliases and on the list of all models as plain calls, in the shapes that HTTP has."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from bodhi_asgi.caller import Caller
from bodhi_asgi.formats.management.files import ModelAliasResponse, RemovedFiles, encode_removed
from bodhi_asgi.models.wire import (
    ModelPage,
    UserAliasRequest,
    UserAliasResponse,
    decode_alias,
    decode_copy,
    decode_models_query,
    encode_alias,
    encode_entry,
    encode_models,
)
from bodhi_asgi.services import Services

T = TypeVar("T")
Verb = Callable[[Services, Caller], Awaitable[T]]


class Calls(Protocol):
    """Runs a verb for the caller that a facade is bound to."""

    async def __call__(self, verb: Verb[T], /) -> T: ...


class Aliases:
    """Bound to one caller, as what it is a part of."""

    def __init__(self, call: Calls) -> None:
        self._call = call

    async def list(self, **query: str | int) -> ModelPage:
        """One page of all models: of the settings, aliases, files of this machine. Needs ``models:read``.

        ``page``, ``page_size``, ``sort``, ``sort_order``, ``type``, ``capability``, ``size_min``, ``size_max`` and
        ``search`` are as in ``GET /bodhi/v1/models``. Raises Invalid naming the parameter.
        """
        wanted = decode_models_query({name: str(value) for name, value in query.items()})

        async def verb(services: Services, caller: Caller) -> ModelPage:
            return encode_models(await services.catalogue.list(caller, wanted))

        return await self._call(verb)

    async def get(self, alias_id: str) -> UserAliasResponse:
        """One alias, the caller's own or one that is shared. Needs ``models:read``. Raises AliasNotFound."""

        async def verb(services: Services, caller: Caller) -> UserAliasResponse:
            return encode_alias(await services.catalogue.get(caller, alias_id))

        return await self._call(verb)

    async def find(self, name: str) -> UserAliasResponse | ModelAliasResponse:
        """What a name stands for: an alias, a model of the settings, or a file. Needs ``models:read``.

        Raises ModelNotFound.
        """

        async def verb(services: Services, caller: Caller) -> UserAliasResponse | ModelAliasResponse:
            return encode_entry(await services.catalogue.find(caller, name))

        return await self._call(verb)

    async def create(self, request: Mapping[str, Any] | UserAliasRequest) -> UserAliasResponse:
        """A new alias. Its file need not be here yet. Needs ``models:write`` and a grant on what it stands for.

        Raises Invalid naming the field, AliasExists, ModelForbidden.
        """
        spec = decode_alias(_body(request))

        async def verb(services: Services, caller: Caller) -> UserAliasResponse:
            return encode_alias(await services.catalogue.create(caller, spec))

        return await self._call(verb)

    async def update(self, alias_id: str, request: Mapping[str, Any] | UserAliasRequest) -> UserAliasResponse:
        """Another alias in its place, from the next request on. Needs ``models:write``.

        Raises as :meth:`create`, AliasNotFound, and AliasShared for one of the application.
        """
        spec = decode_alias(_body(request))

        async def verb(services: Services, caller: Caller) -> UserAliasResponse:
            return encode_alias(await services.catalogue.update(caller, alias_id, spec))

        return await self._call(verb)

    async def copy(self, alias_id: str, alias: str) -> UserAliasResponse:
        """The same under another name, the caller's own. Needs ``models:write``. Raises AliasNotFound, AliasExists."""
        name = decode_copy({"alias": alias})

        async def verb(services: Services, caller: Caller) -> UserAliasResponse:
            return encode_alias(await services.catalogue.copy(caller, alias_id, name))

        return await self._call(verb)

    async def delete(self, alias_id: str, *, with_file: bool = False, force: bool = False) -> RemovedFiles:
        """Remove an alias; its file stays unless it is to go ``with_file``. Needs ``models:write``.

        The file is removed first, so that the alias stays where the file has to: then ModelFileInUse names the other
        aliases that need it, which ``force`` leaves without. Raises AliasNotFound, AliasShared, ModelFileNotOurs.
        """

        async def verb(services: Services, caller: Caller) -> RemovedFiles:
            removed = await services.catalogue.delete(caller, alias_id, with_file=with_file, force=force)
            return encode_removed(removed)

        return await self._call(verb)


def _body(request: Mapping[str, Any] | UserAliasRequest) -> dict[str, Any] | UserAliasRequest:
    return request if isinstance(request, UserAliasRequest) else dict(request)
