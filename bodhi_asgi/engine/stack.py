"""The texts of one request for embeddings or ranks: tokenised one after the other, and how far they are computed.

Whoever tokenises them has them alone until they all are.
"""

from dataclasses import dataclass, field
from typing import Final

from bodhi_asgi.engine.errors import CapabilityMissing, ContextLengthExceeded, PromptInvalid
from bodhi_asgi.engine.runner import Vocabulary
from bodhi_asgi.engine.sizes import LONG_BYTES, check_text
from bodhi_asgi.engine.types import ModelFacts, PooledWork
from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.answers import Usage
from bodhi_asgi.messages.conversation import TextPrompt, TokenPrompt
from bodhi_asgi.messages.reading import EmbedRequest, RerankRequest

TOKEN_BYTES: Final = 4
TEXT_BYTES: Final = 32
"""To look at a token, and to begin with a text, costs as much as to tokenise so many bytes."""


@dataclass(eq=False, slots=True)
class Stack:
    """The texts of one request. ``texts`` are those that were tokenised; the first ``done`` of them are answered.

    Of the next one, ``computed`` tokens were computed in ``slot`` by steps before.
    """

    work: PooledWork
    deadline_at_s: float | None = None
    began_at_s: float = 0.0
    texts: list[list[int]] = field(default_factory=list)
    done: int = 0
    planned: int = 0
    computed: int = 0
    slot: int = 0
    is_paused: bool = False

    @property
    def ranks(self) -> bool:
        return isinstance(self.work.request, RerankRequest)

    @property
    def size(self) -> int:
        """How many texts it has."""
        request = self.work.request
        return len(request.documents) if isinstance(request, RerankRequest) else len(request.inputs)

    @property
    def is_read(self) -> bool:
        return len(self.texts) == self.size

    @property
    def is_long(self) -> bool:
        """Whether running streams would feel it if its texts were tokenised between two of their steps."""
        request = self.work.request
        if isinstance(request, RerankRequest):
            # A template may have the query tokenised with each of them.
            sizes = [len(request.query) + len(text) for text in request.documents]
        else:
            sizes = [
                TOKEN_BYTES * len(one.tokens) if isinstance(one, TokenPrompt) else len(one.text)
                for one in request.inputs
            ]
        return sum(sizes) + TEXT_BYTES * len(sizes) > LONG_BYTES

    @property
    def has_next(self) -> bool:
        """Whether there is a text to be planned."""
        return not self.is_paused and self.planned < self.size

    @property
    def dimensions(self) -> int | None:
        request = self.work.request
        return None if isinstance(request, RerankRequest) else request.dimensions

    @property
    def usage(self) -> Usage:
        return Usage(sum(map(len, self.texts)), 0)

    def param(self, index: int) -> str:
        """The field of the request that holds a text."""
        return f"documents.{index}" if self.ranks else f"input.{index}"

    def read(self, vocabulary: Vocabulary, longest: int) -> None:
        """Tokenise the next text. Raises ContextLengthExceeded and PromptInvalid naming it."""
        index = len(self.texts)
        param = self.param(index)
        tokens = self._tokens(vocabulary, longest, index, param)
        if len(tokens) > longest:
            raise ContextLengthExceeded(
                f"'{param}' has {len(tokens)} tokens, and this model reads at most {longest} of one text",
                param=param,
                prompt_tokens=len(tokens),
                n_ctx=longest,
            )
        if not tokens:
            raise PromptInvalid(f"'{param}' holds nothing that this model could read", param=param)
        self.texts.append(tokens)

    def _tokens(self, vocabulary: Vocabulary, longest: int, index: int, param: str) -> list[int]:
        request = self.work.request
        if isinstance(request, RerankRequest):
            check_text(request.query, longest, param="query")
            check_text(request.documents[index], longest, param=param)
        try:
            if isinstance(request, RerankRequest):
                return vocabulary.pair(request.query, request.documents[index])
            text = request.inputs[index]
            if isinstance(text, TextPrompt):
                check_text(text.text, longest, param=param)
            return vocabulary.encode(text)
        except Invalid as error:
            error.param = param
            raise


def check_fits(request: EmbedRequest | RerankRequest, facts: ModelFacts) -> None:
    """Raises CapabilityMissing for what this model is not made for, and Invalid for more dimensions than it has."""
    if isinstance(request, RerankRequest):
        if not facts.ranks:
            raise CapabilityMissing("this model does not rank documents; choose a reranker", param="model")
        return
    if not facts.embeds:
        why = "it is a reranker" if facts.ranks else "its file does not say how the vectors of tokens are pooled"
        raise CapabilityMissing(f"this model makes no embeddings: {why}; choose an embedding model", param="model")
    if request.dimensions is not None and request.dimensions > facts.width:
        raise Invalid(
            f"'dimensions' is {request.dimensions}; the vectors of this model have {facts.width}", param="dimensions"
        )
