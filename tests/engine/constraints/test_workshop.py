"""The thread that compiles: what is slow is refused in time, what is stuck is told of, and nothing is forgotten."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from queue import Queue
from typing import Any

import pytest

from bodhi_asgi.engine.constraints.workshop import COMPILE_S, STUCK_S, WAIT_S, Prepared, Workshop
from bodhi_asgi.engine.errors import ConstraintInvalid, EngineBusy, ModelLoadFailed
from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.runners.echo import EchoRunner
from bodhi_asgi.engine.types import Chunk, Work
from bodhi_asgi.errors import Broken, Unavailable
from bodhi_asgi.messages.generation import Constraint, ConstraintKind, GenerateRequest
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
            replace(ECHO, **spec), prepare=prepare, compile=self._compile, done=self.told.put_nowait
        )

    def submit(self, owner: str = "", **changes: Any) -> Work:
        asked = replace(work("x", owner=owner, constraint=FORM), **changes)
        self.workshop.submit(asked)
        return asked

    def _compile(self, request: GenerateRequest) -> None:
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
