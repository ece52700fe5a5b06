"""One request in flight: its tokens, how far they are computed, and how it ends."""

from dataclasses import dataclass, field

from bodhi_asgi.engine.detokenizer import TextStream
from bodhi_asgi.engine.images import fitting
from bodhi_asgi.engine.plan import AdapterSet, Drawn, Row
from bodhi_asgi.engine.runner import Vocabulary
from bodhi_asgi.engine.scores import Scores
from bodhi_asgi.engine.thoughts import Thoughts
from bodhi_asgi.engine.types import Chunk, Work
from bodhi_asgi.messages import FinishReason, Usage


@dataclass(eq=False, slots=True)
class Sequence:
    """``tokens`` are the prompt and what was generated; the first ``computed`` of them have their KV cells.

    What is not computed yet is pending: the whole prompt at first, one token in each decode step, everything again
    after a preemption. While a sequence waits for another to compute a beginning that they share, ``promised`` tokens
    will come from there. Pieces of its prompt end at each of ``halts``, where it is worth to share it as it stands.
    ``number`` orders sequences by age and names their sampler.
    """

    number: int
    work: Work
    tokens: list[int]
    deadline_at_s: float | None = None
    adapters: AdapterSet = ()
    slot: int | None = None
    computed: int = 0
    promised: int = 0
    halts: set[int] = field(default_factory=set)
    is_paused: bool = False
    cached_tokens: int | None = None
    prompt_tokens: int = field(init=False)
    text: TextStream = field(init=False)
    scores: Scores = field(init=False)
    thoughts: Thoughts = field(default_factory=lambda: Thoughts(None))

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.tokens)
        self.text = TextStream(self.work.request.stop)
        self.scores = Scores()

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
        return Usage(self.prompt_tokens, self.generated, self.thoughts.tokens, cached_tokens=self.cached_tokens or 0)

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

    def row(self, size: int, drafts: tuple[int, ...] = ()) -> Row:
        """The next ``size`` pending tokens as a row of a plan, with a guess of what follows them."""
        assert self.slot is not None
        end = self.computed + size
        tokens = (*self.tokens[self.computed : end], *drafts)
        return Row(self.slot, self.number, self.computed, tokens, end == len(self.tokens), len(drafts))

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
        if drawn.error is not None:
            return Chunk(self.work.id, error=drawn.error)
        token = drawn.token
        request = self.work.request
        if vocabulary.ends(token) or token in request.stop_tokens:
            return self._last(self.text.finish(), FinishReason.STOP)
        self.tokens.append(token)
        piece = vocabulary.piece(token)
        self.thoughts.hear(piece.decode(errors="ignore"))
        begin = self.text.pushed
        text = self.text.push(piece, may_stop=self.generated > request.min_tokens)
        self.scores.add(drawn, vocabulary, begin, self.text)
        if self.text.is_stopped:
            return self._last(text, FinishReason.STOP)
        if drawn.is_last:
            return self._last(text + self.text.finish(), FinishReason.STOP)
        limit = request.max_tokens
        if (limit is not None and self.generated >= limit) or len(self.tokens) >= n_ctx:
            return self._last(text + self.text.finish(), FinishReason.LENGTH)
        return Chunk(self.work.id, text, part=self.scores.release(self.text)) if text else None

    def _last(self, text: str, finish: FinishReason) -> Chunk:
        return Chunk(self.work.id, text, finish, self.usage, part=self.scores.release_last(self.text))
