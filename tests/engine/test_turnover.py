"""When who finds a full line is told to come back: by who is ahead, by how many are served, and by how long it took."""

import threading
from queue import Queue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.clock import StillClock
from bodhi_asgi.engine import workshop as workshop_module
from bodhi_asgi.engine.cells import Cells
from bodhi_asgi.engine.errors import EngineBusy
from bodhi_asgi.engine.manners import CONSTRAINTS, Prepared
from bodhi_asgi.engine.pooled import PooledWorks
from bodhi_asgi.engine.prefix import RadixPrefix
from bodhi_asgi.engine.runners.echo import EchoRunner, EchoVocabulary
from bodhi_asgi.engine.scheduler import Scheduler
from bodhi_asgi.engine.slots import SlotTable
from bodhi_asgi.engine.stack import Stack
from bodhi_asgi.engine.turnover import LONGEST_S, SHORTEST_S, Turnover
from bodhi_asgi.engine.types import ModelFacts, ModelSpec, PooledWork
from bodhi_asgi.engine.workshop import Workshop
from bodhi_asgi.messages.conversation import TextPrompt
from bodhi_asgi.messages.reading import EmbedRequest
from tests.engine.support import ECHO, work

SPEC = ModelSpec("m", "x", runner="echo", slots=2, queue_limit=3, queue_limit_per_owner=1)


class Line:
    """A scheduler over the echo, whose time is told by the test."""

    def __init__(self, *, slots: int, queue_limit: int = 3, queue_limit_per_owner: int = 3) -> None:
        self.clock = StillClock()
        self.runner = EchoRunner(ECHO)
        self.scheduler = Scheduler(
            self.runner.vocabulary,
            cells=Cells(SlotTable(slots, 512, slots + 8), RadixPrefix()),
            n_ctx=512,
            n_batch=512,
            queue_limit=queue_limit,
            queue_limit_per_owner=queue_limit_per_owner,
            now_s=self.clock.monotonic,
        )

    def ask(self, owner: str = "") -> None:
        asked = work("one two three", owner=owner)
        sequence = self.scheduler.add(asked, self.runner.vocabulary.encode(asked.request.prompt))
        self.runner.begin(sequence.number, asked.request)

    def serve(self, steps: int, step_s: float) -> None:
        for _ in range(steps):
            plan = self.scheduler.schedule(512)
            assert plan is not None
            self.clock.advance(step_s)
            self.scheduler.apply(plan, self.runner.run(plan))
            for number in self.scheduler.ended_samplers():
                self.runner.end(number)

    def refused(self, owner: str = "") -> float | None:
        with pytest.raises(EngineBusy) as busy:
            self.ask(owner)
        return busy.value.retry_after_s


def test_who_comes_in_vain_is_told_when_those_ahead_will_have_had_their_turn() -> None:
    line = Line(slots=2)
    for _ in range(2):
        line.ask()
    line.serve(4, 0.75)  # three words and the end: three seconds
    for _ in range(5):
        line.ask()
    # Four turns of three seconds, two at a time.
    assert line.refused() == 6
    line.serve(2, 3.0)
    assert line.refused() == 12, "those who run have taken longer already than those before them"


def test_before_anybody_was_served_the_time_so_far_is_all_there_is() -> None:
    line = Line(slots=1, queue_limit=1)
    line.ask()
    line.ask()
    assert line.refused() == SHORTEST_S
    line.serve(1, 2.5)
    assert line.refused() == 5
    line.clock.advance(3600)
    assert line.refused() == LONGEST_S


def test_who_may_have_no_more_places_is_told_by_his_own_turns_among_those_of_others() -> None:
    line = Line(slots=1, queue_limit=9, queue_limit_per_owner=2)
    line.ask("ada")
    line.serve(1, 4.0)
    line.ask("ada")
    line.ask("ada")
    assert line.refused("ada") == 12, "his third turn"
    line.ask("bob")
    line.ask("eve")
    assert line.refused("ada") == 36, "of three who take turns"


def test_texts_that_are_read_take_as_long_as_those_who_share_the_turns_with_them() -> None:
    clock = StillClock()
    facts = ModelFacts(n_ctx=64, n_vocab=1000, embeds=True, width=4, longest_text=64)
    works = PooledWorks(facts, SPEC, now_s=clock.monotonic)

    def add(name: str, owner: str) -> None:
        stack = Stack(PooledWork(name, EmbedRequest("m", (TextPrompt("a"),)), owner))
        stack.read(EchoVocabulary(), 64)
        works.add(stack)

    for number in range(3):
        add(f"ada {number}", "ada")
    with pytest.raises(EngineBusy) as busy:
        add("one more", "ada")
    assert busy.value.retry_after_s == SHORTEST_S
    clock.advance(8.0)
    for number in range(3):
        works.cancel(f"ada {number}")
    for number in range(5):
        add(f"bob {number}", "")
    with pytest.raises(EngineBusy) as busy:
        add("one more", "")
    assert busy.value.retry_after_s == 10, "five were there at once, and the sixth takes eight seconds like them"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StillClock:
    """The workshop's own time."""
    still = StillClock()

    class Time:
        monotonic = staticmethod(still.monotonic)

    monkeypatch.setattr(workshop_module, "time", Time)
    return still


def test_what_is_prepared_one_after_the_other_takes_a_turn_for_each_ahead(clock: StillClock) -> None:
    turns: Queue[None] = Queue()
    entered, told = threading.Semaphore(0), Queue[Prepared]()

    def make(_: object) -> None:
        entered.release()
        turns.get(timeout=30)

    shop: Workshop[object] = Workshop(SPEC, CONSTRAINTS, prepare=lambda: None, make=make, done=told.put)  # type: ignore[type-var]
    shop.submit(work("a"))
    assert entered.acquire(timeout=30)
    clock.advance(4.0)
    turns.put(None)
    told.get(timeout=30)
    for text in "bcde":
        shop.submit(work(text))
    assert entered.acquire(timeout=30)
    with pytest.raises(EngineBusy) as busy:
        shop.submit(work("f"))
    assert busy.value.retry_after_s == 16, "three wait, and one more would"
    for _ in range(4):
        turns.put(None)
    assert shop.close(30)[1]


@given(st.lists(st.floats(0, 1e9), max_size=20), st.integers(0, 10_000), st.integers(0, 256), st.floats(0, 1e9))
def test_it_is_whole_seconds_from_one_to_a_minute_whatever_was_measured(
    times: list[float], ahead: int, at_once: int, so_far_s: float
) -> None:
    turnover = Turnover()
    for seconds in times:
        turnover.took(seconds)
    told = turnover.retry_after_s(ahead, at_once, so_far_s=so_far_s)
    assert told.is_integer()
    assert SHORTEST_S <= told <= LONGEST_S
    assert turnover.retry_after_s(ahead + 1, at_once, so_far_s=so_far_s) >= told
    assert turnover.retry_after_s(ahead, at_once + 1, so_far_s=so_far_s) <= told or at_once == 0
