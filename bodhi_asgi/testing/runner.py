"""A runner that says what a test has written down, one word in each step, and keeps cells as the echo does.

Scheduler, slots, fairness, stop strings, limits, streams and cancellation are the real ones: only the words are given.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from bodhi_asgi.engine.plan import Drawn, Row, StepPlan, StepResult
from bodhi_asgi.engine.pooled_plan import Passage
from bodhi_asgi.engine.runners.echo import END, SAID, EchoRunner
from bodhi_asgi.engine.types import ModelFacts, ModelSpec
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.inference.manners import TEMPLATE
from bodhi_asgi.messages.generation import GenerateRequest
from bodhi_asgi.testing.asked import Asked
from bodhi_asgi.testing.errors import NotScripted, ScriptImpossible
from bodhi_asgi.testing.gate import Gate
from bodhi_asgi.testing.script import Script, nearness
from bodhi_asgi.testing.template import rendering
from bodhi_asgi.testing.vocabulary import ScriptedVocabulary

N_CTX: Final = 8192
LOOK_S: Final = 0.005
"""While all answers stand before gates, the engine looks so often whether somebody came or left."""


@dataclass(frozen=True, slots=True)
class Heard(GenerateRequest):
    """A request, with the test's record of it."""

    asked: Asked | None = None

    @classmethod
    def of(cls, request: GenerateRequest, asked: Asked) -> "Heard":
        values: dict[str, Any] = {each.name: getattr(request, each.name) for each in fields(GenerateRequest)}
        return cls(**values, asked=asked)


class Course:
    """One answer on its way: its tokens, and what stands before some of them."""

    def __init__(self, prompt_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.tokens: list[int] = []
        self.gates: dict[int, list[Gate]] = {}
        self.failure: Exception | None = None
        self._arrived: set[Gate] = set()

    def waits(self, said: int, wake: Callable[[], None]) -> bool:
        """Whether the answer stands before a closed gate; the gate is told when it comes there."""
        for gate in self.gates.get(said, ()):
            if gate not in self._arrived:
                self._arrived.add(gate)
                gate.arrive(wake)
            if not gate.is_open:
                return True
        return False

    def next(self, said: int, *, must_go_on: bool) -> int:
        """The next token. Raises the error in which the answer ends there."""
        if said < len(self.tokens):
            return self.tokens[said]
        if self.failure is not None:
            raise fresh(self.failure)
        return self.tokens[said % len(self.tokens)] if must_go_on and self.tokens else END


class ScriptedRunner(EchoRunner):
    """Says what the script says."""

    vocabulary: ScriptedVocabulary

    def __init__(self, spec: ModelSpec, script: Script) -> None:
        super().__init__(replace(spec, n_ctx=spec.n_ctx or N_CTX))
        self._script = script
        self.vocabulary = ScriptedVocabulary(rendering(script.template))
        self._courses: dict[int, Course] = {}
        self._news = threading.Event()

    def load(self, advance: Callable[[float], bool]) -> ModelFacts:
        facts = super().load(advance)
        return replace(
            facts, description="scripted", width=self._script.width, metadata={TEMPLATE: self._script.template}
        )

    def guide(self, request: GenerateRequest) -> None:
        """Whether an answer is one that the request allows is looked at when it is given."""

    def begin(self, sampler: int, request: GenerateRequest, prompt: Sequence[int] = (), matcher: object = None) -> None:
        course = Course(len(prompt))
        if isinstance(request, Heard) and request.asked is not None:
            self._take(course, request.asked, prompt)
        self._courses[sampler] = course
        super().begin(sampler, request, prompt, matcher)

    def end(self, sampler: int) -> None:
        super().end(sampler)
        del self._courses[sampler]

    def run(self, plan: StepPlan) -> StepResult:
        self._news.clear()
        held = frozenset(row.slot for row in plan.rows if row.wants_token and self._waits(row))
        rows = [_without_last(row) if row.slot in held else row for row in plan.rows]
        going = tuple(row for row in rows if row.tokens)
        result = super().run(replace(plan, rows=going))
        if held and not going:
            self._news.wait(LOOK_S)
        return replace(result, held=held)

    def interrupt(self) -> None:
        self._news.set()

    def drafter(self) -> None:
        """Nothing is guessed: what is said next stands in the script."""

    def _take(self, course: Course, asked: Asked, prompt: Sequence[int]) -> None:
        """Have the script answer. Raises what is wrong with it, and the error that it begins with."""
        asked.prompt = self.vocabulary.text(prompt)
        try:
            scripted = self._script.answer(asked)
            pieces = scripted.spoken(asked, self.vocabulary.family, self.vocabulary.opening(prompt))
        except (NotScripted, ScriptImpossible) as error:
            self._script.note_problem(error)
            raise
        for piece in pieces:
            if isinstance(piece, Gate):
                course.gates.setdefault(len(course.tokens), []).append(piece)
            elif isinstance(piece, Exception):
                course.failure = piece
                break
            else:
                course.tokens += self.vocabulary.words(piece)
        if isinstance(course.failure, BodhiError) and not course.tokens and not course.gates:
            raise fresh(course.failure)
        asked.outcome = "answering"

    def _waits(self, row: Row) -> bool:
        course = self._courses[row.sampler]
        return course.waits(row.position + len(row.tokens) - course.prompt_tokens, self._news.set)

    def _drawn_behind(self, row: Row) -> list[Drawn]:
        course, request = self._courses[row.sampler], self._samplers[row.sampler]
        said = len(self.tokens(row.slot)) - course.prompt_tokens
        must_go_on = request.ignore_eos or said < request.min_tokens
        try:
            return [self._said_surely(row, course.next(said, must_go_on=must_go_on))]
        except BodhiError as error:
            return [Drawn(END, error=error)]

    def _pooled(self, text: list[int], passage: Passage, *, ranks: bool) -> bytes:
        if ranks:
            said = len(text) - 1 - text[::-1].index(SAID)
            return nearness(self.vocabulary.text(text[:said]), self.vocabulary.text(text[said:]))
        return self._script.vector(self.vocabulary.text(text), passage.dimensions)


def fresh(error: Exception) -> Exception:
    """An error like ``error``: one that was raised again and again would pile up its traceback."""
    twin = type(error).__new__(type(error), *error.args)
    twin.__dict__.update(error.__dict__)
    return twin


def _without_last(row: Row) -> Row:
    """The row without the token behind which something is to be said."""
    return replace(row, tokens=row.tokens[:-1], wants_token=False)
