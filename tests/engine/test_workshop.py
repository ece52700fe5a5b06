"""The thread that compiles: what is slow is refused in time, what is stuck is told of, and nothing is forgotten."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from queue import Queue
from typing import Any

import pytest

from bodhi_asgi.engine.errors import (
    ConstraintInvalid,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineBusy,
    EngineStopped,
    ModelLoadFailed,
    PromptInvalid,
    WorkCancelled,
)
from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.manners import (
    COMPILE_S,
    CONSTRAINTS,
    STUCK_S,
    TEXT_S,
    TEXT_STUCK_S,
    TEXTS,
    WAIT_S,
    Prepared,
    Written,
)
from bodhi_asgi.engine.runners.echo import EchoRunner
from bodhi_asgi.engine.sizes import LONG_BYTES, is_long
from bodhi_asgi.engine.types import Chunk, TextWork, Work
from bodhi_asgi.engine.workshop import Workshop
from bodhi_asgi.errors import Broken, Unavailable
from bodhi_asgi.messages.answers import Usage
from bodhi_asgi.messages.conversation import Prompt, TextPrompt
from bodhi_asgi.messages.generation import Constraint, ConstraintKind, GenerateRequest
from bodhi_asgi.messages.reading import DetokenizeRequest, TokenizeRequest
from tests.engine.support import ECHO, work

FORM = Constraint(ConstraintKind.REGEX, "a", "guided_regex")


def nothing() -> None:
    """Prepare nothing."""


class Room:
    """A workshop whose compilations wait until they are let go."""

    def __init__(self, prepare: Callable[[], None] = nothing, **spec: Any) -> None:
        self.gate = threading.Event()
        self.entered: Queue[str] = Queue()
        self.told: Queue[Prepared] = Queue()
        self.workshop = Workshop(
            replace(ECHO, **spec), CONSTRAINTS, prepare=prepare, make=self._make, done=self.told.put_nowait
        )

    def submit(self, owner: str = "", **changes: Any) -> Work:
        asked = replace(work("x", owner=owner, constraint=FORM), **changes)
        self.workshop.submit(asked)
        return asked

    def _make(self, asked: Work) -> None:
        request = asked.request
        self.entered.put(request.model)
        assert self.gate.wait(30)
        if request.model == "bad":
            raise ConstraintInvalid("no", param="guided_regex")
        if request.model == "broken":
            raise ValueError("by a fault of ours")


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.gate.set()
    assert made.workshop.close(10)[1]


def named(model: str) -> dict[str, Any]:
    return {"request": replace(work("x", constraint=FORM).request, model=model)}


def test_works_come_back_in_order_with_their_matchers_or_their_errors(room: Room) -> None:
    room.gate.set()
    asked = [room.submit(), room.submit(**named("bad")), room.submit(**named("broken"))]
    told = [room.told.get(timeout=10) for _ in asked]
    assert [each.work.id for each in told] == [each.id for each in asked]
    assert [type(each.error) for each in told] == [type(None), ConstraintInvalid, Broken]
    assert not room.workshop.is_busy


def test_a_compilation_that_takes_too_long_is_refused_and_told_of_when_it_is_stuck(room: Room) -> None:
    slow = room.submit()
    room.entered.get(timeout=10)
    behind = room.submit()
    now_s = time.monotonic()
    assert room.workshop.expire(now_s) == []
    assert room.workshop.next_deadline_s == pytest.approx(now_s + COMPILE_S, abs=5)

    late = room.workshop.expire(now_s + COMPILE_S)
    assert [each.work.id for each in late] == [slow.id]
    assert isinstance(late[0].error, ConstraintInvalid)
    assert late[0].error.param == "guided_regex"
    assert room.workshop.is_busy

    waited = room.workshop.expire(now_s + WAIT_S + 1)
    assert [each.work.id for each in waited] == [behind.id]
    assert isinstance(waited[0].error, EngineBusy)
    assert not room.workshop.is_stuck(now_s)
    assert room.workshop.is_stuck(now_s + STUCK_S + 5)

    room.gate.set()
    third = room.submit()
    assert room.told.get(timeout=10).work.id == third.id
    assert not room.workshop.is_stuck(now_s + STUCK_S + 5)


def test_who_leaves_is_forgotten_wherever_he_stands(room: Room) -> None:
    at_work = room.submit()
    room.entered.get(timeout=10)
    waiting, last = room.submit(), room.submit()
    assert room.workshop.give_up(waiting.id)
    assert room.workshop.give_up(at_work.id)
    assert not room.workshop.give_up("nobody")
    room.gate.set()
    assert room.told.get(timeout=10).work.id == last.id
    assert room.told.empty()


def test_the_line_is_bounded_for_all_and_for_each(room: Room) -> None:
    crowded = Room(queue_limit=2, queue_limit_per_owner=1)
    crowded.submit("ada")
    crowded.entered.get(timeout=10)
    crowded.submit("ada")
    with pytest.raises(EngineBusy):
        crowded.submit("ada")
    crowded.submit("bob")
    with pytest.raises(EngineBusy):
        crowded.submit("eve")
    left, has_ended = crowded.workshop.close(0.01)
    assert (len(left), has_ended) == (3, False)
    crowded.gate.set()
    assert crowded.workshop.close(10) == ([], True)


def test_a_thread_that_rests_takes_one_though_nobody_may_wait_for_it() -> None:
    narrow = Room(queue_limit=0, queue_limit_per_owner=0)
    since_s = time.monotonic()
    narrow.submit("ada")
    narrow.entered.get(timeout=10)
    for owner in ("ada", "bob", ""):
        with pytest.raises(EngineBusy, match="number 1 in line") as refused:
            narrow.submit(owner)
        assert refused.value.params["position"] == 1
        assert refused.value.retry_after_s is not None
        assert 1 <= refused.value.retry_after_s <= max(1, math.ceil(time.monotonic() - since_s))
    narrow.gate.set()
    narrow.told.get(timeout=10)
    narrow.submit("bob")
    narrow.told.get(timeout=10)
    assert narrow.workshop.close(10)[1]


def test_a_request_whose_own_deadline_passes_is_told_so_at_work_and_in_line(room: Room) -> None:
    at_work = room.submit(deadline_s=1.0)
    room.entered.get(timeout=10)
    in_line, patient = room.submit(deadline_s=1.5), room.submit()
    now_s = time.monotonic()
    assert room.workshop.next_deadline_s is not None
    assert room.workshop.next_deadline_s <= now_s + 1.0
    assert room.workshop.expire(now_s - 5.0) == []
    late = room.workshop.expire(now_s + 1.6)
    assert [each.work.id for each in late] == [at_work.id, in_line.id]
    assert [type(each.error) for each in late] == [DeadlineExceeded] * 2
    room.gate.set()
    assert room.told.get(timeout=10).work.id == patient.id


def test_a_deadline_runs_on_in_the_workshop(room: Room) -> None:
    room.submit(deadline_s=50.0)
    room.entered.get(timeout=10)
    room.gate.set()
    left_s = room.told.get(timeout=10).work.deadline_s
    assert left_s is not None
    assert 0 < left_s < 50


def test_what_cannot_be_prepared_refuses_every_work() -> None:
    def fail() -> None:
        raise ModelLoadFailed("no tokenizer")

    room = Room(fail)
    room.submit()
    assert isinstance(room.told.get(timeout=10).error, ModelLoadFailed)
    assert room.workshop.close(10)[1]


def test_a_vocabulary_that_cannot_be_read_for_it_refuses_every_work() -> None:
    def fail() -> None:
        raise ValueError("no sentinel token")

    room = Room(fail)
    room.submit()
    assert isinstance(room.told.get(timeout=10).error, Unavailable)
    assert room.workshop.close(10)[1]


def test_preparing_may_take_longer_than_any_turn() -> None:
    go_on = threading.Event()
    room = Room(lambda: assert_set(go_on))
    room.gate.set()
    asked = room.submit()
    later_s = time.monotonic() + WAIT_S + 60
    assert room.workshop.expire(later_s) == []
    assert not room.workshop.is_busy
    assert not room.workshop.is_stuck(later_s)
    next_s = room.workshop.next_deadline_s
    assert next_s is not None
    assert next_s < later_s
    go_on.set()
    assert room.told.get(timeout=10).work.id == asked.id
    assert room.workshop.close(10)[1]


def assert_set(event: threading.Event) -> None:
    assert event.wait(30)


class SlowRunner(EchoRunner):
    """Compiles for as long as it is told to."""

    def __init__(self) -> None:
        super().__init__(ECHO)
        self.gate = threading.Event()
        self.entered = threading.Event()

    def guide(self, request: GenerateRequest) -> Any:
        self.entered.set()
        assert self.gate.wait(60)
        return super().guide(request)


def test_other_answers_go_on_while_a_constraint_is_compiled_and_the_slow_one_is_refused() -> None:
    runner = SlowRunner()
    delivered: Queue[Chunk] = Queue()

    def deliver(chunks: list[Chunk]) -> None:
        for chunk in chunks:
            delivered.put(chunk)

    loop = EngineLoop(runner, ECHO, deliver)
    loop.start()
    slow, quick = work("slow", constraint=FORM), work("one two")
    loop.submit(slow)
    assert runner.entered.wait(10)
    loop.submit(quick)
    finals: dict[str, Chunk] = {}
    while len(finals) < 2:
        chunk = delivered.get(timeout=20)
        if chunk.is_final:
            finals[chunk.work_id] = chunk
    assert list(finals) == [quick.id, slow.id]
    assert isinstance(finals[slow.id].error, ConstraintInvalid)
    assert loop.is_busy
    runner.gate.set()
    loop.stop()


def test_a_slow_constraint_is_refused_by_an_engine_that_has_nothing_else_to_do() -> None:
    runner = SlowRunner()
    delivered: Queue[list[Chunk]] = Queue()
    loop = EngineLoop(runner, ECHO, delivered.put)
    loop.start()
    loop.submit(work("slow", constraint=FORM))
    (chunk,) = delivered.get(timeout=COMPILE_S + 20)
    assert isinstance(chunk.error, ConstraintInvalid)
    assert "2 s" in chunk.error.message
    runner.gate.set()
    loop.stop()


# -- long texts

LONG_TEXT = "word " * LONG_BYTES
ROOMY = replace(ECHO, n_ctx=8192)


class SlowReader(EchoRunner):
    """Takes as long as it is told to for the tokens of a long prompt."""

    def __init__(self) -> None:
        super().__init__(ROOMY)
        self.gate = threading.Event()
        self.entered = threading.Event()
        encode = self.vocabulary.encode

        def slow(prompt: Prompt) -> list[int]:
            if is_long(prompt):
                self.entered.set()
                assert self.gate.wait(60)
            return encode(prompt)

        self.vocabulary.encode = slow  # type: ignore[method-assign]

    def guide(self, _: GenerateRequest) -> None:
        """Nothing is held to a form here."""


class Reading:
    """An engine loop whose runner reads long prompts slowly, and what it delivers."""

    def __init__(self) -> None:
        self.runner = SlowReader()
        self.delivered: Queue[Chunk] = Queue()
        self.loop = EngineLoop(self.runner, ROOMY, lambda chunks: [self.delivered.put(chunk) for chunk in chunks])  # type: ignore[func-returns-value]
        self.loop.start()

    def final(self) -> Chunk:
        while not (chunk := self.delivered.get(timeout=20)).is_final:
            pass
        return chunk

    def close(self) -> None:
        self.runner.gate.set()
        self.loop.stop()


@pytest.fixture
def reading() -> Iterator[Reading]:
    made = Reading()
    yield made
    made.close()


def test_others_speak_while_a_long_prompt_is_tokenised(reading: Reading) -> None:
    long, quick = work(LONG_TEXT), work("one two")
    reading.loop.submit(long)
    assert reading.runner.entered.wait(10)
    reading.loop.submit(quick)
    final = reading.final()
    assert (final.work_id, final.error) == (quick.id, None)
    assert not reading.loop.is_busy
    reading.runner.gate.set()
    final = reading.final()
    assert final.work_id == long.id
    assert isinstance(final.error, ContextLengthExceeded)


def test_a_long_prompt_that_fits_is_answered_as_a_short_one(reading: Reading) -> None:
    reading.runner.gate.set()
    text = "a" * 2 * LONG_BYTES  # words of eight letters
    held = work(text, constraint=FORM)
    for asked in (work(text), held):
        reading.loop.submit(asked)
        pieces = []
        while not (chunk := reading.delivered.get(timeout=20)).is_final:
            pieces.append(chunk.text)
        assert chunk.error is None
        assert "".join(pieces) + chunk.text == text


@pytest.mark.parametrize("wants", ["count", "tokens"])
def test_questions_about_long_texts_are_answered_beside_the_loop_too(reading: Reading, wants: Any) -> None:
    reading.runner.gate.set()
    asked = TextWork("t", TokenizeRequest("m", TextPrompt("ab" * LONG_BYTES), wants))
    reading.loop.submit(asked)
    assert reading.final().usage == Usage(2 * LONG_BYTES // 8 + 2, 0)
    tokens = TextWork("d", DetokenizeRequest("m", (3,) * 5000))
    reading.loop.submit(tokens)
    assert reading.final().usage == Usage(5000, 0)
    refused = TextWork("r", DetokenizeRequest("m", (999_999,) * 5000))
    reading.loop.submit(refused)
    assert isinstance(reading.final().error, PromptInvalid)


def test_who_leaves_while_his_prompt_is_tokenised_is_told_at_once(reading: Reading) -> None:
    long = work(LONG_TEXT)
    reading.loop.submit(long)
    assert reading.runner.entered.wait(10)
    reading.loop.cancel(long.id)
    final = reading.final()
    assert (final.work_id, type(final.error)) == (long.id, WorkCancelled)


def test_an_engine_that_stops_tells_those_whose_prompts_are_not_read_yet(reading: Reading) -> None:
    first, second = work(LONG_TEXT), work(LONG_TEXT)
    reading.loop.submit(first)
    assert reading.runner.entered.wait(10)
    reading.loop.submit(second)
    stopping = threading.Thread(target=reading.loop.stop)
    stopping.start()
    reading.runner.gate.set()
    stopping.join()
    told = [reading.final(), reading.final()]
    assert {final.work_id for final in told} == {first.id, second.id}
    assert EngineStopped in {type(final.error) for final in told}


def test_a_text_that_takes_too_long_is_refused_by_its_field() -> None:
    gate, entered = threading.Event(), threading.Event()

    def make(_: Work | TextWork) -> object:
        entered.set()
        return gate.wait(30)

    told: Queue[Prepared] = Queue()
    scribe: Workshop[Work | TextWork] = Workshop(ECHO, TEXTS, prepare=nothing, make=make, done=told.put_nowait)
    for asked, param in (
        (work(LONG_TEXT), "messages"),
        (TextWork("t", TokenizeRequest("m", TextPrompt("x"), "count")), "prompt"),
        (TextWork("d", DetokenizeRequest("m", (1,))), "tokens"),
    ):
        entered.clear()
        scribe.submit(asked)
        assert entered.wait(10)
        now_s = time.monotonic()
        assert scribe.expire(now_s) == []
        (late,) = scribe.expire(now_s + TEXT_S)
        assert isinstance(late, Written)
        assert isinstance(late.error, PromptInvalid)
        assert (late.error.param, "10 s" in late.error.message) == (param, True)
        # It says nothing of how far it has come, so it is told of when it is stuck for good, and not before.
        assert not scribe.is_busy
        assert scribe.is_stuck(now_s + TEXT_STUCK_S + 5)
        gate.set()
        while scribe._working_since_s is not None:
            time.sleep(0)
        gate.clear()
    assert scribe.close(10)[1]
