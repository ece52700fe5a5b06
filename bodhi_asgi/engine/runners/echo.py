"""A deterministic runner without a model: it says the last message again, word by word, and as often as it has to when
it may not end yet.

It keeps what each slot has been given and refuses a plan that a real KV cache could not carry out, so that a mistake of
the scheduler is an error here and not a strange answer there.
"""

import math
import re
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bodhi_asgi.engine.drafts import PromptLookup
from bodhi_asgi.engine.errors import ConstraintInvalid, ImagesUnsupported, PromptInvalid
from bodhi_asgi.engine.families.table import GENERIC
from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.engine.plan import (
    Clear,
    Copy,
    Drawn,
    Edit,
    Fetch,
    Forget,
    Row,
    StepOutcome,
    StepPlan,
    StepResult,
    Stow,
)
from bodhi_asgi.engine.pooled_plan import Passage, PooledPlan, PooledResult
from bodhi_asgi.engine.sizes import checked
from bodhi_asgi.engine.slots import sequence_ids
from bodhi_asgi.engine.types import ModelFacts, ModelSpec
from bodhi_asgi.messages.conversation import ChatPrompt, InfillPrompt, Prompt, Role, TextPrompt, TokenPrompt
from bodhi_asgi.messages.generation import GenerateRequest

DEFAULT_N_CTX: Final = 2048
PIECES: Final = re.compile(r"\s*\S{1,8}|\s+$")
END: Final = 0
SAY: Final = 1
SAID: Final = 2
MARKS: Final = (b"", b"", b"")
MAX_VOCABULARY: Final = 1_000_000
CELL_BYTES: Final = 4
WIDTH: Final = 64
"""Numbers of a vector: one for each sort of words."""


class EchoVocabulary:
    """Words as they come; the first three tokens mark the end of a turn and the span to be said again."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = list(MARKS)
        self._tokens: dict[bytes, int] = {}
        self._grows = threading.Lock()

    def __len__(self) -> int:
        return len(self._pieces)

    def encode(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, TokenPrompt):
            return checked(prompt.tokens, len(self), param="prompt")
        if isinstance(prompt, ChatPrompt) and prompt.images:
            raise ImagesUnsupported("this model reads no images", param="messages")
        if isinstance(prompt, TextPrompt):
            return [SAY, *self._words(prompt.text), SAID]
        if isinstance(prompt, InfillPrompt):
            return [SAY, *self._words(prompt.prefix + prompt.suffix), SAID]
        spoken = [message for message in prompt.messages if message.role is Role.USER]
        if not spoken:
            raise PromptInvalid("the conversation has no message of the role 'user'", param="messages")
        before = [
            word for message in prompt.messages if message is not spoken[-1] for word in self._words(message.content)
        ]
        return [*before, SAY, *self._words(spoken[-1].content), SAID]

    def tokens(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:  # noqa: ARG002
        words = self._words(text)
        return [SAY, *words, SAID] if add_special else words

    def pair(self, query: str, document: str) -> list[int]:
        return [SAY, *self._words(query), SAID, *self._words(document)]

    def render(self, prompt: ChatPrompt) -> str:
        return "".join(f"{message.role.value}: {message.content}\n" for message in prompt.messages)

    @property
    def family(self) -> Family:
        return GENERIC

    def opening(self, tokens: Sequence[int]) -> str:  # noqa: ARG002
        return ""

    def spelled(self, token: int) -> bytes:
        return self._pieces[token]

    def piece(self, token: int) -> bytes:
        return self._pieces[token]

    def ends(self, token: int) -> bool:
        return token == END

    def _words(self, text: str) -> list[int]:
        return [self._token(piece.encode("utf-8", "replace")) for piece in PIECES.findall(text)]

    def _token(self, piece: bytes) -> int:
        token = self._tokens.get(piece)
        return self._new_token(piece) if token is None else token

    def _new_token(self, piece: bytes) -> int:
        with self._grows:  # long texts are read in a thread of their own
            token = self._tokens.get(piece)
            if token is None:
                if len(self._pieces) >= MAX_VOCABULARY:
                    return len(MARKS)  # a full vocabulary says its first word for every new one
                token = len(self._pieces)
                self._pieces.append(piece)
                self._tokens[piece] = token
            return token


@dataclass(eq=False, slots=True)
class _Cell:
    """A cell of the cache, and how many slots have it."""

    token: int
    holders: int = 1


class EchoRunner:
    """Says the last message of the user again."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._n_ctx = spec.n_ctx or DEFAULT_N_CTX
        self._cells: dict[int, list[_Cell]] = {}
        self._cells_used = 0
        self._stowed: dict[int, list[int]] = {}
        self._samplers: dict[int, GenerateRequest] = {}
        self._texts: dict[int, list[int]] = {}
        self.vocabulary: EchoVocabulary = EchoVocabulary()
        self.progress = 0

    def load(self, advance: Callable[[float], bool]) -> ModelFacts:
        advance(1.0)
        return ModelFacts(
            n_ctx=self._n_ctx,
            n_vocab=MAX_VOCABULARY,
            description="echo",
            sequences=sequence_ids(self._spec),
            cell_bytes=CELL_BYTES,
            embeds=True,
            ranks=True,
            width=WIDTH,
            longest_text=self._n_ctx,
            reads_in_pieces=True,
        )

    def prepare_guides(self) -> None:
        """There is nothing to prepare."""

    def guide(self, request: GenerateRequest) -> None:
        if request.constraint is None and request.tool_use is not None and not request.tool_use.required:
            return
        param = request.constraint.param if request.constraint else "tool_choice"
        raise ConstraintInvalid(f"'{param}' cannot be enforced: an echo has no choice of what it says", param=param)

    def look(self, work_id: str, request: GenerateRequest) -> None:
        """There are no images here."""

    def look_away(self, work_id: str | None) -> None:
        """There are no images here."""

    def begin(
        self,
        sampler: int,
        request: GenerateRequest,
        prompt: Sequence[int] = (),  # noqa: ARG002
        matcher: object = None,  # noqa: ARG002
    ) -> None:
        self._samplers[sampler] = request

    def end(self, sampler: int) -> None:
        del self._samplers[sampler]

    def run(self, plan: StepPlan) -> StepResult:
        for edit in plan.edits:
            self._edit(edit)
        if self._cells_used + plan.tokens > self._n_ctx:
            return StepResult(StepOutcome.NO_CELLS)
        scored = {
            row.slot: tuple(self._said_surely(row, token) for token in row.follows) for row in plan.rows if row.follows
        }
        drawn = {row.slot: self._drawn_behind(row) for row in plan.rows if self._compute(row)}
        return StepResult(
            drawn={slot: first for slot, (first, *_) in drawn.items()},
            more={slot: tuple(more) for slot, (_, *more) in drawn.items() if more},
            scored=scored,
        )

    def pool(self, plan: PooledPlan) -> PooledResult:
        if not plan.continues:
            self._texts.clear()
        vectors = {}
        for passage in plan.passages:
            text = self._texts.setdefault(passage.slot, [])
            assert passage.position == len(text), f"{len(text)} tokens are there; the plan says {passage.position}"
            text.extend(passage.tokens)
            if passage.is_last:
                vectors[passage.slot] = self._pooled(self._texts.pop(passage.slot), passage, ranks=plan.ranks)
        return PooledResult(vectors=vectors)

    def drafter(self) -> PromptLookup | None:
        return None if self._spec.speculation.kind == "none" else PromptLookup()

    def interrupt(self) -> None:
        """A step is over before anybody could interrupt it."""

    def unload(self) -> None:
        self._cells.clear()
        self._stowed.clear()

    def tokens(self, slot: int) -> list[int]:
        """What the cells of a slot were computed from."""
        return [cell.token for cell in self._cells.get(slot, ())]

    def _edit(self, edit: Edit) -> None:
        match edit:
            case Clear(slot, begin):
                # Empty when the slot was given back in the very step that was to begin it.
                cells = self._cells.get(slot, [])
                for cell in cells[begin:]:
                    cell.holders -= 1
                    self._cells_used -= not cell.holders
                del cells[begin:]
                if not cells:
                    self._cells.pop(slot, None)
            case Copy(source, target, count):
                assert target not in self._cells, f"slot {target} is to get cells and has some"
                given = self._cells[source][:count]
                assert len(given) == count, f"slot {source} has {len(given)} cells; the plan says {count}"
                for cell in given:
                    cell.holders += 1
                self._cells[target] = given
            case Stow(slot, place):
                assert place not in self._stowed, f"place {place} is taken"
                self._stowed[place] = self.tokens(slot)
            case Fetch(place, slot):
                assert slot not in self._cells, f"slot {slot} is to get cells and has some"
                self._cells[slot] = [_Cell(token) for token in self._stowed[place]]
                self._cells_used += len(self._stowed[place])
                assert self._cells_used <= self._n_ctx, f"there are no cells for what is at place {place}"
            case Forget(place):
                del self._stowed[place]

    def _drawn_behind(self, row: Row) -> list[Drawn]:
        """What follows the row, and each token of its guess that is right."""
        cells = self._cells[row.slot]
        guess = cells[len(cells) - row.drafts :]
        del cells[len(cells) - row.drafts :]
        drawn = [self._said_surely(row, self._next(row))]
        for place, cell in enumerate(guess):
            if drawn[-1].token == cell.token and len(drawn) == place + 1 and cell.token != END:
                cells.append(cell)
                drawn.append(self._said_surely(row, self._next(row)))
        cells.extend(guess[len(drawn) - 1 :])
        return drawn

    def _pooled(self, text: list[int], passage: Passage, *, ranks: bool) -> bytes:
        """How many words of the query the document has; or how often each of some sorts of words stands in a text."""
        if ranks:
            said = _last(text, SAID)
            query, document = set(self._sorts(text[:said])), set(self._sorts(text[said:]))
            return struct.pack("<f", len(query & document) / max(1, len(query)))
        sorts = Counter(self._sorts(text))
        values = [float(sorts[sort]) for sort in range(WIDTH)][: passage.dimensions]
        length = math.hypot(*values) or 1.0
        return struct.pack(f"<{len(values)}f", *(value / length for value in values))

    def _sorts(self, text: list[int]) -> list[int]:
        words = (self.vocabulary.piece(token).strip().lower() for token in text)
        return [zlib.crc32(word) % WIDTH for word in words if word]

    def _compute(self, row: Row) -> bool:
        cells = self._cells.setdefault(row.slot, [])
        assert row.position == len(cells), f"slot {row.slot} has {len(cells)} cells; the plan says {row.position}"
        assert row.sampler in self._samplers, f"sampler {row.sampler} is gone"
        cells.extend(map(_Cell, row.tokens))
        self._cells_used += len(row.tokens)
        return row.wants_token

    def _said_surely(self, row: Row, token: int) -> Drawn:
        top = self._samplers[row.sampler].logprobs
        return Drawn(token) if top is None else Drawn(token, 0.0, ((token, 0.0),)[:top])

    def _next(self, row: Row) -> int:
        tokens = self.tokens(row.slot)
        words = _spoken(tokens)
        done = self._said(tokens)
        request = self._samplers[row.sampler]
        if done < len(words):
            return words[done]
        must_go_on = request.ignore_eos or done < request.min_tokens
        return words[done % len(words)] if must_go_on and words else END

    def _said(self, tokens: list[int]) -> int:
        """How many tokens of the answer stand in a slot's cells."""
        return len(tokens) - 1 - _last(tokens, SAID) if SAID in tokens else 0


def _spoken(tokens: list[int]) -> list[int]:
    """What is to be said again; nothing when the tokens of a client have no marks around it."""
    if SAID not in tokens or SAY not in tokens[: _last(tokens, SAID)]:
        return []
    said = _last(tokens, SAID)
    return tokens[_last(tokens[:said], SAY) + 1 : said]


def _last(tokens: list[int], token: int) -> int:
    return len(tokens) - 1 - tokens[::-1].index(token)
