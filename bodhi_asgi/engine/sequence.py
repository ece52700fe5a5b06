"""One request in flight: its tokens, how far they are computed, and how it ends."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from bodhi_asgi.engine.detokenizer import TextStream
from bodhi_asgi.engine.images import fitting
from bodhi_asgi.engine.plan import AdapterSet, Drawn, Row
from bodhi_asgi.engine.runner import Vocabulary
from bodhi_asgi.engine.scores import Scores, scored
from bodhi_asgi.engine.thoughts import Thoughts
from bodhi_asgi.engine.types import Chunk, Work
from bodhi_asgi.messages.answers import FinishReason, Logprobs, TokenLogprob, Usage
from bodhi_asgi.messages.conversation import TextPrompt

SCORED_AT_ONCE: Final = 32
"""Tokens of a step whose log probabilities are wanted: each costs its logits, nearly a megabyte of a large model."""

SHOWN_AT_ONCE: Final = 256
"""Tokens of an echoed prompt whose log probabilities are in one chunk: a reader takes a millisecond for as many."""


@dataclass(eq=False, slots=True)
class Sequence:
    """``tokens`` are the prompt and what was generated; the first ``computed`` of them have their KV cells.

    What is not computed yet is pending: the whole prompt at first, one token in each decode step, everything again
    after a preemption. While a sequence waits for another to compute a beginning that they share, ``promised`` tokens
    will come from there. Pieces of its prompt end at each of ``halts``, where it is worth to share it as it stands.
    ``number`` orders sequences by age and names their sampler; ``began_at_s`` is when it first had a slot. The chunks
    ``ahead`` are to be delivered before the one that :meth:`accept` returns.
    """

    number: int
    work: Work
    tokens: list[int]
    deadline_at_s: float | None = None
    began_at_s: float | None = field(default=None, init=False)
    adapters: AdapterSet = ()
    slot: int | None = None
    computed: int = 0
    promised: int = 0
    halts: set[int] = field(default_factory=set)
    is_paused: bool = False
    cached_tokens: int | None = None
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    prompt_tokens: int = field(init=False)
    text: TextStream = field(init=False)
    scores: Scores = field(init=False)
    has_prompt_to_show: bool = field(init=False)
    prompt_scores: list[Drawn] = field(init=False)
    ahead: list[Chunk] = field(default_factory=list)
    thoughts: Thoughts = field(default_factory=lambda: Thoughts(None))

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.tokens)
        self.text = TextStream(self.work.request.stop)
        self.scores = Scores()
        self.has_prompt_to_show = self.work.request.echo
        self.prompt_scores = []

    @property
    def pending(self) -> int:
        """Tokens without cells."""
        return len(self.tokens) - self.computed

    @property
    def wants_token(self) -> bool:
        """Whether it has a slot and lacks nothing but its next token."""
        return self.slot is not None and self.pending == 1 and not self.is_paused

    @property
    def generated(self) -> int:
        return len(self.tokens) - self.prompt_tokens

    @property
    def usage(self) -> Usage:
        return Usage(
            self.prompt_tokens,
            self.generated,
            self.thoughts.tokens,
            cached_tokens=self.cached_tokens or 0,
            drafted_tokens=self.drafted_tokens,
            accepted_tokens=self.accepted_tokens,
        )

    @property
    def owed(self) -> int:
        """Cells that its pending tokens will take."""
        return max(0, self.pending - self.promised)

    def begin_at(self, computed: int) -> None:
        """So many tokens have their cells already. What counts as cached is what the first beginning found."""
        self.computed = computed
        if self.cached_tokens is None:
            self.cached_tokens = min(computed, self.prompt_tokens)

    def fitting(self, size: int) -> int:
        """How many pending tokens to compute, given room for ``size``: an image that is one piece is not cut."""
        return fitting(self.tokens, self.computed, size)

    @property
    def is_scored(self) -> bool:
        """Whether the log probabilities of its prompt are wanted and not all known yet, so that all is computed."""
        request = self.work.request
        return request.echo and request.logprobs is not None and len(self.prompt_scores) < self.prompt_tokens - 1

    @property
    def most_at_once(self) -> int:
        """How many pending tokens may be in one step."""
        return SCORED_AT_ONCE if self.is_scored else self.pending

    def take_scores(self, scored: Iterable[Drawn]) -> None:
        """What follows the tokens of the row that has just been computed."""
        for token, one in enumerate(scored, self.computed + 1):
            if token == len(self.prompt_scores) + 1:
                self.prompt_scores.append(one)

    def row(self, size: int, drafts: tuple[int, ...] = ()) -> Row:
        """The next ``size`` pending tokens as a row of a plan, with a guess of what follows them."""
        assert self.slot is not None
        end = self.computed + size
        tokens = (*self.tokens[self.computed : end], *drafts)
        follows = self.tokens[self.computed + 1 : min(end + 1, self.prompt_tokens)] if self.is_scored else ()
        is_last = end == len(self.tokens)
        return Row(self.slot, self.number, self.computed, tokens, is_last, len(drafts), tuple(follows))

    def next_row(self) -> Row:
        """The one pending token of a sequence that speaks, as a row of a plan."""
        assert self.slot is not None
        return Row(self.slot, self.number, self.computed, (self.tokens[-1],), wants_token=True)

    def most_drafts(self, n_ctx: int) -> int:
        """How many tokens a guess may have that could all be told."""
        room = n_ctx - len(self.tokens) - 1
        limit = self.work.request.max_tokens
        return max(0, room if limit is None else min(room, limit - self.generated - 1))

    def is_next(self, row: Row) -> bool:
        """Whether the row, planned for this sequence, still begins where the sequence stands."""
        return (row.slot, row.position) == (self.slot, self.computed)

    def accept(self, drawn: Drawn, vocabulary: Vocabulary, n_ctx: int) -> Chunk | None:
        """Take the token that was drawn: the chunk to deliver, or None when its text has to wait."""
        chunk = self._accept(drawn, vocabulary, n_ctx)
        if self.has_prompt_to_show and (chunk is None or chunk.error is None):
            self.has_prompt_to_show = False
            return self._after_prompt(chunk or Chunk(self.work.id), vocabulary)
        return chunk

    def _accept(self, drawn: Drawn, vocabulary: Vocabulary, n_ctx: int) -> Chunk | None:
        if drawn.error is not None:
            return Chunk(self.work.id, error=drawn.error)
        token = drawn.token
        request = self.work.request
        if request.max_tokens == 0:  # only the prompt is wanted
            return self._last("", FinishReason.LENGTH)
        if vocabulary.ends(token) or token in request.stop_tokens:
            return self._last(self.text.finish(), FinishReason.STOP)
        self.tokens.append(token)
        piece = vocabulary.piece(token)
        self.thoughts.hear(piece)
        begin, generated = self.text.pushed, self.generated
        text = self.text.push(piece, may_stop=generated > request.min_tokens)
        self.scores.add(drawn, vocabulary, begin, self.text)
        if self.text.is_stopped:
            return self._last(text, FinishReason.STOP)
        if drawn.is_last:
            return self._last(text + self.text.finish(), FinishReason.STOP)
        limit = request.max_tokens
        if (limit is not None and generated >= limit) or len(self.tokens) >= n_ctx:
            return self._last(text + self.text.finish(), FinishReason.LENGTH)
        return Chunk(self.work.id, text, part=self.scores.release(self.text)) if text else None

    def _after_prompt(self, chunk: Chunk, vocabulary: Vocabulary) -> Chunk:
        """The chunk with the prompt before it; of a long one with log probabilities, the first pieces go ahead."""
        prompt, tokens = self.work.request.prompt, self.tokens[: self.prompt_tokens]
        if isinstance(prompt, TextPrompt):
            text = prompt.text
        else:
            text = b"".join(map(vocabulary.piece, tokens)).decode(errors="replace")
        if self.work.request.logprobs is None:
            return replace(chunk, text=text + chunk.text)
        first = TokenLogprob(tokens[0], vocabulary.piece(tokens[0]), None)
        following = (scored(one, vocabulary) for one in self.prompt_scores)
        left = chunk.part.tokens if isinstance(chunk.part, Logprobs) else ()
        shown = (first, *following, *left)
        *pieces, last = (shown[begin : begin + SHOWN_AT_ONCE] for begin in range(0, len(shown), SHOWN_AT_ONCE))
        if not pieces:
            return replace(chunk, text=text + chunk.text, part=Logprobs(last))
        self.ahead = [Chunk(chunk.work_id, part=Logprobs(piece)) for piece in pieces]
        self.ahead[0] = replace(self.ahead[0], text=text)
        return replace(chunk, part=Logprobs(last))

    def _last(self, text: str, finish: FinishReason) -> Chunk:
        return Chunk(self.work.id, text, finish, self.usage, part=self.scores.release_last(self.text))
