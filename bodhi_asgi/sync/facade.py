"""The synchronous twins of :mod:`bodhi_asgi.facade`. Made by docs/generate_sync.py; change that module."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, overload

from bodhi_asgi.audit.types import AuditRow, Outcome
from bodhi_asgi.caller import Caller, Grants, Scope
from bodhi_asgi.facade import HasScope
from bodhi_asgi.formats.management.engines import LoadedModel, LoadedModels
from bodhi_asgi.formats.management.files import LocalModelPage, RemovedFiles
from bodhi_asgi.formats.openai_chat.schema import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from bodhi_asgi.formats.openai_completions.schema import Completion, CompletionRequest
from bodhi_asgi.formats.openai_embeddings.schema import EmbeddingList, EmbeddingsRequest
from bodhi_asgi.formats.openai_models import ModelList, ModelObject
from bodhi_asgi.formats.rerank.schema import RankedList, RerankBody
from bodhi_asgi.formats.tokenization.schema import DetokenizeBody, PromptText, TokenCount, TokenizeBody, TokenList
from bodhi_asgi.hub.types import RepoSummary
from bodhi_asgi.models.details import ModelDetails
from bodhi_asgi.shelf.types import MAIN, FileQuery
from bodhi_asgi.sync.aliases import SyncAliases
from bodhi_asgi.sync.calls import Calls
from bodhi_asgi.sync.pulls import SyncDownloads
from bodhi_asgi.sync.stream import SyncModelPull, SyncStream
from bodhi_asgi.tokens.types import CreatedToken, Token, TokenStatus
from bodhi_asgi.types import Page


class SyncBodhi(Calls):
    """The verbs, bound to one caller. Using one starts the server if nobody has."""

    def as_caller(self, caller: Caller) -> "SyncBodhi":
        """The same verbs for another caller."""
        return SyncBodhi(self._of.as_caller(caller))

    def for_request(self, request: HasScope) -> "SyncBodhi":
        """The same verbs for the user of a request, as ``identity=`` names them or its credentials prove.

        The verbs raise Unauthenticated when the request names nobody, and IdentityNotConfigured when the server was
        given no ``identity=`` and the request carries no token.
        """
        return SyncBodhi(self._of.for_request(request))

    def caller(self) -> Caller:
        """Whom these verbs act for. Raises as they would when the request names nobody."""
        return self._wait(self._of.caller)

    @overload
    def chat_completion(
        self, request: Mapping[str, Any] | ChatCompletionRequest, *, stream: Literal[True]
    ) -> SyncStream[ChatCompletionChunk]: ...

    @overload
    def chat_completion(
        self, request: Mapping[str, Any] | ChatCompletionRequest, *, stream: Literal[False]
    ) -> ChatCompletion: ...

    @overload
    def chat_completion(self, request: Mapping[str, Any] | ChatCompletionRequest) -> Any: ...

    def chat_completion(self, request: Mapping[str, Any] | ChatCompletionRequest, *, stream: bool | None = None) -> Any:
        """Answer a conversation, in the OpenAI shapes.

        Returns a :class:`ChatCompletion`, or with ``stream`` (the argument, or the request's own) a
        :class:`SyncStream`. Needs ``inference`` and a grant on the model. Raises Invalid naming the field
        that is wrong, ModelNotFound, ModelForbidden, ContextLengthExceeded, EngineBusy, and what else the engine may
        say.
        """
        return self._wait_for_any(self._of.chat_completion, request, stream=stream)

    @overload
    def completion(
        self, request: Mapping[str, Any] | CompletionRequest, *, stream: Literal[True]
    ) -> SyncStream[Completion]: ...

    @overload
    def completion(self, request: Mapping[str, Any] | CompletionRequest, *, stream: Literal[False]) -> Completion: ...

    @overload
    def completion(self, request: Mapping[str, Any] | CompletionRequest) -> Any: ...

    def completion(self, request: Mapping[str, Any] | CompletionRequest, *, stream: bool | None = None) -> Any:
        """Continue texts, in the OpenAI shapes.

        Returns a :class:`Completion`, or with ``stream`` (the argument, or the request's own) a
        :class:`SyncStream`. Needs ``inference`` and a grant on the model. Raises as :meth:`chat_completion`.
        """
        return self._wait_for_any(self._of.completion, request, stream=stream)

    def embeddings(self, request: Mapping[str, Any] | EmbeddingsRequest) -> EmbeddingList:
        """A vector of length one for each text, in the OpenAI shapes.

        Needs ``inference`` and a grant on the model. Raises Invalid naming the field that is wrong, CapabilityMissing
        for a model that makes no embeddings, ContextLengthExceeded naming the text that is too long.
        """
        return self._wait(self._of.embeddings, request)

    def rerank(self, request: Mapping[str, Any] | RerankBody) -> RankedList:
        """Documents in the order of how well they answer a query, in the shapes of Jina and Cohere.

        Needs ``inference`` and a grant on the model. Raises as :meth:`embeddings`.
        """
        return self._wait(self._of.rerank, request)

    def tokenize(self, request: Mapping[str, Any] | TokenizeBody) -> TokenList:
        """The tokens of a ``prompt``, or of ``messages`` as the model's template renders them. Needs ``inference``."""
        return self._wait(self._of.tokenize, request)

    def count_tokens(self, request: Mapping[str, Any] | TokenizeBody) -> TokenCount:
        """How many tokens that would be, and how many the model's context holds. Needs ``inference``."""
        return self._wait(self._of.count_tokens, request)

    def detokenize(self, request: Mapping[str, Any] | DetokenizeBody) -> PromptText:
        """The text of ``tokens``. Needs ``inference``."""
        return self._wait(self._of.detokenize, request)

    def apply_template(self, request: Mapping[str, Any] | ChatCompletionRequest) -> PromptText:
        """A conversation as the model's template renders it; nothing is generated. Needs ``inference``."""
        return self._wait(self._of.apply_template, request)

    def list_models(self) -> ModelList:
        """The models the caller may list. Needs ``models:read``."""
        return self._wait(self._of.list_models)

    def get_model(self, model: str) -> ModelObject:
        """One model. Needs ``models:read``. Raises ModelNotFound."""
        return self._wait(self._of.get_model, model)

    def model_details(self, model: str, *, context_tokens: int | None = None) -> ModelDetails:
        """The card of a model: what it is, what it can do, how it is run, and whether it fits the engines' memory.

        Told from the headers of its files, with ``context_tokens`` of context; 4,096 unless said, or as many as it was
        trained for. Needs ``models:read`` and a grant on the model. Raises ModelNotFound, ModelForbidden,
        ModelFileMissing and GgufInvalid.
        """
        return self._wait(self._of.model_details, model, context_tokens=context_tokens)

    @property
    def aliases(self) -> SyncAliases:
        """The verbs on aliases: list all models, get, create, update, copy and delete."""
        return SyncAliases(self._of.aliases)

    def pull_model(self, reference: str) -> SyncModelPull:
        """Have a model of the hub brought here: ``owner/repo``, ``owner/repo:Q4_K_M`` or ``owner/repo/file.gguf``.

        Without a name, it is the largest quantisation that fits in the engines' memory with a context of 4,096 tokens.
        All parts and the projector come with it. Needs ``models:write``. Returns as soon as that is queued: wait for
        what it returns to have the model here, or iterate it to follow its progress. What is on its way or here already
        is found. Raises HubReferenceInvalid, what the hub may say, QuantisationMissing, NothingFits and DiskFull.
        """
        return SyncModelPull(self._wait(self._of.pull_model, reference))

    def search_models(self, words: str, *, limit: int = 20) -> tuple[RepoSummary, ...]:
        """Repositories of the hub with GGUF models whose names have ``words``, the most downloaded first.

        Needs ``models:write``. Raises Invalid and what the hub may say.
        """
        return self._wait(self._of.search_models, words, limit=limit)

    @property
    def downloads(self) -> SyncDownloads:
        """The verbs on downloads: list, get, pause, resume, cancel, retry, archive and follow."""
        return SyncDownloads(self._of.downloads)

    def loaded_models(self) -> LoadedModels:
        """The models in memory, of all processes that share the data directory. Needs ``engines:read``."""
        return self._wait(self._of.loaded_models)

    def load_model(self, model: str, *, keep_alive: float | str | None = None) -> LoadedModel:
        """Load a model ahead of its first request. Needs ``engines:write``. Returns when it stands.

        ``keep_alive`` is how long it stays without work: seconds, or a duration such as ``"5m"``; -1 means for good.
        """
        return self._wait(self._of.load_model, model, keep_alive=keep_alive)

    def unload_model(self, model: str, *, force: bool = False) -> int:
        """Unload a model wherever it is loaded; how many engines there were. Needs ``engines:write``.

        Raises EngineAtWork while it loads or answers, unless ``force`` ends that.
        """
        return self._wait(self._of.unload_model, model, force=force)

    def model_files(self, query: FileQuery | None = None) -> LocalModelPage:
        """One page of the model files on this machine, of models that the caller may list. Needs ``models:read``."""
        return self._wait(self._of.model_files, query)

    def delete_model_file(self, repo: str, filename: str, snapshot: str = MAIN, *, force: bool = False) -> RemovedFiles:
        """Remove a file from the cache; bytes that other snapshots share stay. Needs ``models:write``.

        Raises ModelFileNotFound, ModelFileInUse while it is loaded, the settings name it or aliases stand for it, and
        ModelFileNotOurs for a file of a plain folder. ``force`` leaves the caller's own aliases without it.
        """
        return self._wait(self._of.delete_model_file, repo, filename, snapshot, force=force)

    def refresh_model_files(self) -> None:
        """Look for files now, and have all headers read anew in the background. Needs ``models:write``."""
        self._wait(self._of.refresh_model_files)

    def create_api_token(
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
        return self._wait(
            self._of.create_api_token, name, scopes=scopes, grants=grants, expires_in_days=expires_in_days
        )

    def list_api_tokens(
        self, *, page: int = 1, page_size: int = 30, search: str = "", status: TokenStatus | str | None = None
    ) -> Page[Token]:
        """The caller's own tokens, newest first. Needs ``tokens:read``. ``search`` is part of a name or an owner."""
        return self._wait(self._of.list_api_tokens, page=page, page_size=page_size, search=search, status=status)

    def revoke_api_token(self, token_id: str) -> Token:
        """End a token at once and for good. Needs ``tokens:write``. Raises TokenNotFound."""
        return self._wait(self._of.revoke_api_token, token_id)

    def list_audit_entries(
        self, *, page: int = 1, page_size: int = 30, search: str = "", outcome: Outcome | str | None = None
    ) -> Page[AuditRow]:
        """Who changed what or was refused, newest first, at most 100 a page. Needs ``audit:read``.

        ``search`` is part of a caller, an action or a subject.
        """
        return self._wait(self._of.list_audit_entries, page=page, page_size=page_size, search=search, outcome=outcome)
