"""The direct door: every verb as a plain async call, bound to one caller, never touching HTTP.

``request.state.bodhi`` is one of these, acting for the host itself; ``for_request`` binds the same verbs to the
request's own user. Requests are dicts in the OpenAI shapes or our typed requests; answers are typed objects that
serialise as those shapes.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal, Protocol, TypeVar, overload

from pydantic import BaseModel

from bodhi_asgi import readings
from bodhi_asgi.aliases import Aliases
from bodhi_asgi.audit.types import AuditRow, Outcome
from bodhi_asgi.caller import Caller, Grants, Scope
from bodhi_asgi.formats.management.engines import (
    LoadedModel,
    LoadedModels,
    LoadModelRequest,
    encode_engine,
    encode_engines,
)
from bodhi_asgi.formats.management.files import LocalModelPage, RemovedFiles, encode_files, encode_removed
from bodhi_asgi.formats.openai_chat.decode import decode
from bodhi_asgi.formats.openai_chat.encode import ChunkEncoder, encode_reply
from bodhi_asgi.formats.openai_chat.schema import ChatCompletion, ChatCompletionRequest
from bodhi_asgi.formats.openai_completions.decode import decode as decode_completion
from bodhi_asgi.formats.openai_completions.encode import CompletionChunkEncoder
from bodhi_asgi.formats.openai_completions.encode import encode_reply as encode_completion
from bodhi_asgi.formats.openai_completions.schema import Completion, CompletionRequest
from bodhi_asgi.formats.openai_embeddings.schema import EmbeddingList, EmbeddingsRequest
from bodhi_asgi.formats.openai_models import ModelList, ModelObject, encode_model, encode_models
from bodhi_asgi.formats.rerank.schema import RankedList, RerankBody
from bodhi_asgi.formats.tokenization.schema import DetokenizeBody, PromptText, TokenCount, TokenizeBody, TokenList
from bodhi_asgi.hub.types import RepoSummary
from bodhi_asgi.ids import new_id
from bodhi_asgi.lifecycle import Lifecycle
from bodhi_asgi.models.details import ModelDetails
from bodhi_asgi.pulls import Downloads, ModelPull
from bodhi_asgi.services import Services
from bodhi_asgi.shelf.types import MAIN, FileQuery
from bodhi_asgi.streams import ChatCompletionStream, CompletionStream
from bodhi_asgi.tokens.types import CreatedToken, Token, TokenSpec, TokenStatus
from bodhi_asgi.types import Page
from bodhi_asgi.validation import validated
from bodhi_asgi.wire.logprobs import size_of

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
WhoAsks = Callable[[Services], Awaitable[Caller]]


class HasScope(Protocol):
    """Anything of an ASGI connection: a request of Starlette, FastAPI, Litestar, or of Django under ASGI."""

    scope: Any


class Bodhi:
    """The verbs, bound to one caller. Using one starts the server if nobody has."""

    def __init__(self, lifecycle: Lifecycle[Services], who: WhoAsks) -> None:
        self._lifecycle = lifecycle
        self._who = who

    def as_caller(self, caller: Caller) -> "Bodhi":
        """The same verbs for another caller."""

        async def who(_: Services) -> Caller:
            return caller

        return Bodhi(self._lifecycle, who)

    def for_request(self, request: HasScope) -> "Bodhi":
        """The same verbs for the user of a request, as ``identity=`` names them or its credentials prove.

        The verbs raise Unauthenticated when the request names nobody, and IdentityNotConfigured when the server was
        given no ``identity=`` and the request carries no token.
        """
        scope = request.scope

        async def who(services: Services) -> Caller:
            return await services.gate.caller_of(scope)

        return Bodhi(self._lifecycle, who)

    async def caller(self) -> Caller:
        """Whom these verbs act for. Raises as they would when the request names nobody."""

        async def verb(_: Services, caller: Caller) -> Caller:
            return caller

        return await self._call(verb)

    @overload
    async def chat_completion(
        self, request: Mapping[str, Any] | ChatCompletionRequest, *, stream: Literal[True]
    ) -> ChatCompletionStream: ...
    @overload
    async def chat_completion(
        self, request: Mapping[str, Any] | ChatCompletionRequest, *, stream: Literal[False]
    ) -> ChatCompletion: ...
    @overload
    async def chat_completion(self, request: Mapping[str, Any] | ChatCompletionRequest) -> Any: ...

    async def chat_completion(
        self, request: Mapping[str, Any] | ChatCompletionRequest, *, stream: bool | None = None
    ) -> Any:
        """Answer a conversation, in the OpenAI shapes.

        Returns a :class:`ChatCompletion`, or with ``stream`` (the argument, or the request's own) a
        :class:`ChatCompletionStream`. Needs ``inference`` and a grant on the model. Raises Invalid naming the field
        that is wrong, ModelNotFound, ModelForbidden, ContextLengthExceeded, EngineBusy, and what else the engine may
        say.
        """
        return await self._call(lambda services, caller: self._chat(services, caller, request, stream))

    @overload
    async def completion(
        self, request: Mapping[str, Any] | CompletionRequest, *, stream: Literal[True]
    ) -> CompletionStream: ...
    @overload
    async def completion(
        self, request: Mapping[str, Any] | CompletionRequest, *, stream: Literal[False]
    ) -> Completion: ...
    @overload
    async def completion(self, request: Mapping[str, Any] | CompletionRequest) -> Any: ...

    async def completion(self, request: Mapping[str, Any] | CompletionRequest, *, stream: bool | None = None) -> Any:
        """Continue texts, in the OpenAI shapes.

        Returns a :class:`Completion`, or with ``stream`` (the argument, or the request's own) a
        :class:`CompletionStream`. Needs ``inference`` and a grant on the model. Raises as :meth:`chat_completion`.
        """
        return await self._call(lambda services, caller: self._continue(services, caller, request, stream))

    async def embeddings(self, request: Mapping[str, Any] | EmbeddingsRequest) -> EmbeddingList:
        """A vector of length one for each text, in the OpenAI shapes.

        Needs ``inference`` and a grant on the model. Raises Invalid naming the field that is wrong, CapabilityMissing
        for a model that makes no embeddings, ContextLengthExceeded naming the text that is too long.
        """
        return await self._call(lambda services, caller: readings.embeddings(services, caller, _body(request)))

    async def rerank(self, request: Mapping[str, Any] | RerankBody) -> RankedList:
        """Documents in the order of how well they answer a query, in the shapes of Jina and Cohere.

        Needs ``inference`` and a grant on the model. Raises as :meth:`embeddings`.
        """
        return await self._call(lambda services, caller: readings.ranked(services, caller, _body(request)))

    async def tokenize(self, request: Mapping[str, Any] | TokenizeBody) -> TokenList:
        """The tokens of a ``prompt``, or of ``messages`` as the model's template renders them. Needs ``inference``."""
        return await self._call(lambda services, caller: readings.tokens(services, caller, _body(request)))

    async def count_tokens(self, request: Mapping[str, Any] | TokenizeBody) -> TokenCount:
        """How many tokens that would be, and how many the model's context holds. Needs ``inference``."""
        return await self._call(lambda services, caller: readings.token_count(services, caller, _body(request)))

    async def detokenize(self, request: Mapping[str, Any] | DetokenizeBody) -> PromptText:
        """The text of ``tokens``. Needs ``inference``."""
        return await self._call(lambda services, caller: readings.text_of_tokens(services, caller, _body(request)))

    async def apply_template(self, request: Mapping[str, Any] | ChatCompletionRequest) -> PromptText:
        """A conversation as the model's template renders it; nothing is generated. Needs ``inference``."""
        return await self._call(lambda services, caller: readings.rendered(services, caller, _body(request)))

    async def list_models(self) -> ModelList:
        """The models the caller may list. Needs ``models:read``."""

        async def verb(services: Services, caller: Caller) -> ModelList:
            return encode_models(await services.models.list(caller))

        return await self._call(verb)

    async def get_model(self, model: str) -> ModelObject:
        """One model. Needs ``models:read``. Raises ModelNotFound."""

        async def verb(services: Services, caller: Caller) -> ModelObject:
            return encode_model(await services.models.get(caller, model))

        return await self._call(verb)

    async def model_details(self, model: str, *, context_tokens: int | None = None) -> ModelDetails:
        """The card of a model: what it is, what it can do, how it is run, and whether it fits the engines' memory.

        Told from the headers of its files, with ``context_tokens`` of context; 4,096 unless said, or as many as it was
        trained for. Needs ``models:read`` and a grant on the model. Raises ModelNotFound, ModelForbidden,
        ModelFileMissing and GgufInvalid.
        """
        return await self._call(
            lambda services, caller: services.details.get(caller, model, context_tokens=context_tokens)
        )

    @property
    def aliases(self) -> Aliases:
        """The verbs on aliases: list all models, get, create, update, copy and delete."""
        return Aliases(self._call)

    async def pull_model(self, reference: str) -> ModelPull:
        """Have a model of the hub brought here: ``owner/repo``, ``owner/repo:Q4_K_M`` or ``owner/repo/file.gguf``.

        Without a name, it is the largest quantisation that fits in the engines' memory with a context of 4,096 tokens.
        All parts and the projector come with it. Needs ``models:write``. Returns as soon as that is queued: wait for
        what it returns to have the model here, or iterate it to follow its progress. What is on its way or here already
        is found. Raises HubReferenceInvalid, what the hub may say, QuantisationMissing, NothingFits and DiskFull.
        """
        return await self.downloads.pull(reference)

    async def search_models(self, words: str, *, limit: int = 20) -> tuple[RepoSummary, ...]:
        """Repositories of the hub with GGUF models whose names have ``words``, the most downloaded first.

        Needs ``models:write``. Raises Invalid and what the hub may say.
        """
        return await self._call(lambda services, caller: services.downloads.search(caller, words, limit=limit))

    @property
    def downloads(self) -> Downloads:
        """The verbs on downloads: list, get, pause, resume, cancel, retry, archive and follow."""
        return Downloads(self._call, self._lifecycle)

    async def loaded_models(self) -> LoadedModels:
        """The models in memory, of all processes that share the data directory. Needs ``engines:read``."""

        async def verb(services: Services, caller: Caller) -> LoadedModels:
            return encode_engines(await services.engine_management.list(caller))

        return await self._call(verb)

    async def load_model(self, model: str, *, keep_alive: float | str | None = None) -> LoadedModel:
        """Load a model ahead of its first request. Needs ``engines:write``. Returns when it stands.

        ``keep_alive`` is how long it stays without work: seconds, or a duration such as ``"5m"``; -1 means for good.
        """
        asked = validated(LoadModelRequest, {} if keep_alive is None else {"keep_alive": keep_alive})

        async def verb(services: Services, caller: Caller) -> LoadedModel:
            status = await services.engine_management.load(caller, model, keep_alive_s=asked.keep_alive)
            return encode_engine(status)

        return await self._call(verb)

    async def unload_model(self, model: str, *, force: bool = False) -> int:
        """Unload a model wherever it is loaded; how many engines there were. Needs ``engines:write``.

        Raises EngineAtWork while it loads or answers, unless ``force`` ends that.
        """
        return await self._call(lambda services, caller: services.engine_management.unload(caller, model, force=force))

    async def model_files(self, query: FileQuery | None = None) -> LocalModelPage:
        """One page of the model files on this machine, of models that the caller may list. Needs ``models:read``."""

        async def verb(services: Services, caller: Caller) -> LocalModelPage:
            return encode_files(await services.shelf.list(caller, query))

        return await self._call(verb)

    async def delete_model_file(
        self, repo: str, filename: str, snapshot: str = MAIN, *, force: bool = False
    ) -> RemovedFiles:
        """Remove a file from the cache; bytes that other snapshots share stay. Needs ``models:write``.

        Raises ModelFileNotFound, ModelFileInUse while it is loaded, the settings name it or aliases stand for it, and
        ModelFileNotOurs for a file of a plain folder. ``force`` leaves the caller's own aliases without it.
        """

        async def verb(services: Services, caller: Caller) -> RemovedFiles:
            return encode_removed(await services.shelf.delete(caller, repo, filename, snapshot, force=force))

        return await self._call(verb)

    async def refresh_model_files(self) -> None:
        """Look for files now, and have all headers read anew in the background. Needs ``models:write``."""
        await self._call(lambda services, caller: services.shelf.refresh(caller))

    async def create_api_token(
        self,
        name: str,
        *,
        scopes: Iterable[Scope | str] = (Scope.MODELS_READ, Scope.INFERENCE),
        grants: Grants | None = None,
        expires_in_days: int | None = None,
    ) -> CreatedToken:
        """A new API token; its secret is in the answer and nowhere else, ever. Needs ``tokens:write``.

        ``grants`` says which models it may use: none unless given. It expires after ``expires_in_days`` days, or
        after the configured lifetime.
        """
        spec = TokenSpec(
            name=name,
            scopes=frozenset(Scope(scope) for scope in scopes),
            grants=grants or Grants(),
            expires_in_days=expires_in_days,
        )
        return await self._call(lambda services, caller: services.tokens.create(caller, spec))

    async def list_api_tokens(
        self, *, page: int = 1, page_size: int = 30, search: str = "", status: TokenStatus | str | None = None
    ) -> Page[Token]:
        """The caller's own tokens, newest first. Needs ``tokens:read``. ``search`` is part of a name or an owner."""
        wanted: dict[str, Any] = {"page": page, "page_size": page_size, "search": search, "status": status}
        return await self._call(lambda services, caller: services.tokens.list(caller, **wanted))

    async def revoke_api_token(self, token_id: str) -> Token:
        """End a token at once and for good. Needs ``tokens:write``. Raises TokenNotFound."""
        return await self._call(lambda services, caller: services.tokens.revoke(caller, token_id))

    async def list_audit_entries(
        self, *, page: int = 1, page_size: int = 30, search: str = "", outcome: Outcome | str | None = None
    ) -> Page[AuditRow]:
        """Who changed what or was refused, newest first, at most 100 a page. Needs ``audit:read``.

        ``search`` is part of a caller, an action or a subject.
        """
        wanted: dict[str, Any] = {"page": page, "page_size": page_size, "search": search, "outcome": outcome}
        return await self._call(lambda services, caller: services.audit.list(caller, **wanted))

    async def _chat(
        self,
        services: Services,
        caller: Caller,
        request: Mapping[str, Any] | ChatCompletionRequest,
        stream: bool | None,
    ) -> ChatCompletion | ChatCompletionStream:
        call = await services.desk.decode(lambda body: decode(body, services.limits), _with_stream(request, stream))
        request_id = new_id()
        created = int(services.clock.now().timestamp())
        if call.stream:
            answer = await services.inference.stream(caller, call.request)
            encoder = ChunkEncoder(
                request_id=request_id,
                model=call.request.model,
                created=created,
                include_usage=call.include_usage,
                is_legacy=call.is_legacy,
            )
            return ChatCompletionStream(self._lifecycle, answer, encoder.encode)
        reply = await services.inference.complete(caller, call.request)
        make = partial(
            encode_reply,
            reply,
            request_id=request_id,
            model=call.request.model,
            created=created,
            is_legacy=call.is_legacy,
        )
        return await services.desk.encode(make, size=size_of(reply))

    async def _continue(
        self,
        services: Services,
        caller: Caller,
        request: Mapping[str, Any] | CompletionRequest,
        stream: bool | None,
    ) -> Completion | CompletionStream:
        call = await services.desk.decode(
            lambda body: decode_completion(body, services.limits), _with_stream(request, stream)
        )
        request_id, created = new_id(), int(services.clock.now().timestamp())
        if call.stream:
            answer = await services.inference.stream(caller, *call.requests)
            encoder = CompletionChunkEncoder(
                request_id=request_id, model=call.model, created=created, include_usage=call.include_usage
            )
            return CompletionStream(self._lifecycle, answer, encoder.encode)
        reply = await services.inference.complete(caller, *call.requests)
        make = partial(encode_completion, reply, request_id=request_id, model=call.model, created=created)
        return await services.desk.encode(make, size=size_of(reply))

    async def _call(self, verb: Callable[[Services, Caller], Awaitable[T]]) -> T:
        async def run(services: Services) -> T:
            return await verb(services, await self._who(services))

        return await self._lifecycle.run(run)


def _body(request: Mapping[str, Any] | M) -> dict[str, Any] | M:
    return request if isinstance(request, BaseModel) else dict(request)


def _with_stream(request: Mapping[str, Any] | M, stream: bool | None) -> dict[str, Any] | M:
    if isinstance(request, BaseModel):
        return request if stream is None else request.model_copy(update={"stream": stream})
    return dict(request) if stream is None else {**request, "stream": stream}
