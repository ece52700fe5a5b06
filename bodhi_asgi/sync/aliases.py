"""The synchronous twins of :mod:`bodhi_asgi.aliases`. Made by docs/generate_sync.py; change that module."""

from collections.abc import Mapping
from typing import Any

from bodhi_asgi.aliases import Aliases
from bodhi_asgi.formats.management.files import ModelAliasResponse, RemovedFiles
from bodhi_asgi.models.wire import ModelPage, UserAliasRequest, UserAliasResponse
from bodhi_asgi.sync.twin import Twin


class SyncAliases(Twin[Aliases]):
    """Bound to one caller, as what it is a part of."""

    def list(self, **query: str | int) -> ModelPage:
        """One page of all models: of the settings, aliases, files of this machine. Needs ``models:read``.

        ``page``, ``page_size``, ``sort``, ``sort_order``, ``type``, ``capability``, ``size_min``, ``size_max`` and
        ``search`` are as in ``GET /bodhi/v1/models``. Raises Invalid naming the parameter.
        """
        return self._wait(self._of.list, **query)

    def get(self, alias_id: str) -> UserAliasResponse:
        """One alias, the caller's own or one that is shared. Needs ``models:read``. Raises AliasNotFound."""
        return self._wait(self._of.get, alias_id)

    def find(self, name: str) -> UserAliasResponse | ModelAliasResponse:
        """What a name stands for: an alias, a model of the settings, or a file. Needs ``models:read``.

        Raises ModelNotFound.
        """
        return self._wait(self._of.find, name)

    def create(self, request: Mapping[str, Any] | UserAliasRequest) -> UserAliasResponse:
        """A new alias. Its file need not be here yet. Needs ``models:write`` and a grant on what it stands for.

        Raises Invalid naming the field, AliasExists, ModelForbidden.
        """
        return self._wait(self._of.create, request)

    def update(self, alias_id: str, request: Mapping[str, Any] | UserAliasRequest) -> UserAliasResponse:
        """Another alias in its place, from the next request on. Needs ``models:write``.

        Raises as :meth:`create`, AliasNotFound, and AliasShared for one of the application.
        """
        return self._wait(self._of.update, alias_id, request)

    def copy(self, alias_id: str, alias: str) -> UserAliasResponse:
        """The same under another name, the caller's own. Needs ``models:write``. Raises AliasNotFound, AliasExists."""
        return self._wait(self._of.copy, alias_id, alias)

    def delete(self, alias_id: str, *, with_file: bool = False, force: bool = False) -> RemovedFiles:
        """Remove an alias; its file stays unless it is to go ``with_file``. Needs ``models:write``.

        The file is removed first, so that the alias stays where the file has to: then ModelFileInUse names the other
        aliases that need it, which ``force`` leaves without. Raises AliasNotFound, AliasShared, ModelFileNotOurs.
        """
        return self._wait(self._of.delete, alias_id, with_file=with_file, force=force)
