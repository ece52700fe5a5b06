"""The verbs of models that read and do not answer: embed, rerank, and what a prompt is in tokens.

The caller is asked, the model's name resolved, the engine found and the work handed over, as for an answer. Cancelling
the task that waits ends the work in the engine.
"""

import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.engine.types import Job, PooledWork, TextWork
from bodhi_asgi.errors import BodhiError, Broken
from bodhi_asgi.ids import new_id
from bodhi_asgi.inference.service import Engines
from bodhi_asgi.messages.answers import Delta, TokenIds, Usage, Vectors
from bodhi_asgi.messages.reading import (
    DetokenizeRequest,
    Embeddings,
    EmbedRequest,
    Ranking,
    RerankRequest,
    TokenizeRequest,
    Tokens,
)
from bodhi_asgi.metrics.meters import Meters
from bodhi_asgi.models.params import Defaults
from bodhi_asgi.models.service import ModelService

ReadingRequest: TypeAlias = EmbedRequest | RerankRequest | TokenizeRequest | DetokenizeRequest

VALUE_BYTES = 4


@dataclass(slots=True)
class _Found:
    """What an engine has said, put together."""

    n_ctx: int
    text: list[str] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    usage: Usage | None = None

    def add(self, delta: Delta) -> None:
        self.text.append(delta.text)
        if isinstance(delta.part, Vectors):
            size = delta.part.width * VALUE_BYTES
            data = delta.part.data
            self.rows += [data[begin : begin + size] for begin in range(0, len(data), size)]
        elif isinstance(delta.part, TokenIds):
            self.ids += delta.part.ids
            self.pieces += delta.part.pieces
        self.usage = delta.usage or self.usage


class ReadingService:
    """Every verb needs ``inference`` and a grant on the model.

    All raise the errors of :mod:`bodhi_asgi.models.errors` and :mod:`bodhi_asgi.engine.errors`.
    """

    def __init__(self, *, models: ModelService, engines: Engines, meters: Meters, deadline_s: float | None) -> None:
        self._models = models
        self._engines = engines
        self._meters = meters
        self._deadline_s = deadline_s

    async def embed(self, caller: Caller, request: EmbedRequest) -> Embeddings:
        """A vector of length one for each input. Raises CapabilityMissing for a model that has none to give."""
        found, usage = await self._ask(caller, "embed", request)
        return Embeddings(tuple(found.rows), usage)

    async def rerank(self, caller: Caller, request: RerankRequest) -> Ranking:
        """How well each document answers the query. Raises CapabilityMissing for a model that does not rank."""
        found, usage = await self._ask(caller, "rerank", request)
        return Ranking(tuple(struct.unpack("<f", row)[0] for row in found.rows), usage)

    async def tokenize(self, caller: Caller, request: TokenizeRequest) -> Tokens:
        """The tokens of a prompt; only their number where ``wants`` is ``count``."""
        found, usage = await self._ask(caller, "tokenize", request)
        return Tokens(tuple(found.ids), usage.prompt_tokens, found.n_ctx, tuple(found.pieces))

    async def render(self, caller: Caller, request: TokenizeRequest) -> str:
        """A conversation as the model's template writes it. Raises PromptInvalid where the template refuses it."""
        found, _ = await self._ask(caller, "render", request)
        return "".join(found.text)

    async def detokenize(self, caller: Caller, request: DetokenizeRequest) -> str:
        """The text of tokens. Raises PromptInvalid for one that the model does not have."""
        found, _ = await self._ask(caller, "detokenize", request)
        return "".join(found.text)

    async def _ask(self, caller: Caller, kind: str, request: ReadingRequest) -> tuple[_Found, Usage]:
        caller.require(Scope.INFERENCE)
        model = await self._models.resolve(caller, request.model)
        request = _filled(request, model.defaults)
        outcome = "cancelled"
        try:
            engine = await self._engines.engine(model.spec)
            found = _Found((await engine.start()).n_ctx)
            deltas = cast("AsyncGenerator[Delta]", engine.submit(_job(request, caller.share, self._deadline_s)))
            async with aclosing(deltas):
                async for delta in deltas:
                    found.add(delta)
            outcome = "completed"
        except BodhiError as error:
            outcome = error.code
            raise
        finally:
            self._meters.readings.inc(1, model=request.model, kind=kind, outcome=outcome)
        if found.usage is None:
            raise Broken("the engine ended an answer without its final word")
        if isinstance(request, EmbedRequest | RerankRequest):
            self._meters.prompt_tokens.inc(found.usage.prompt_tokens, model=request.model)
        return found, found.usage


def _filled(request: ReadingRequest, defaults: Defaults) -> ReadingRequest:
    if isinstance(request, TokenizeRequest):
        return defaults.tokens(request)
    return defaults.pooled(request) if isinstance(request, EmbedRequest | RerankRequest) else request


def _job(request: ReadingRequest, owner: str, deadline_s: float | None) -> Job:
    if isinstance(request, EmbedRequest | RerankRequest):
        return PooledWork(new_id(), request, owner, deadline_s, request.keep_alive_s)
    return TextWork(new_id(), request, owner, deadline_s)
