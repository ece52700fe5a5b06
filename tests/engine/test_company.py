"""Requests that come in the same moment to an idle engine are computed together; nobody waits beside who runs."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from bodhi_asgi.engine.errors import EngineStopped
from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.pace import COMPANY_S, Pace
from bodhi_asgi.engine.plan import Row, StepPlan, StepResult
from bodhi_asgi.engine.runners.echo import EchoRunner
from bodhi_asgi.engine.types import Chunk
from tests.engine.support import ECHO, work


class Recorder(EchoRunner):
    """An echo that keeps the plans it was given."""

    def __init__(self) -> None:
        super().__init__(ECHO)
        self.plans: list[StepPlan] = []

    def run(self, plan: StepPlan) -> StepResult:
        self.plans.append(plan)
        return super().run(plan)


class Patient:
    """An engine loop that waits for company as it is told, and what it delivers."""

    def __init__(self, *waits_s: float) -> None:
        self.waits_s = list(waits_s)
        self.is_waiting = threading.Event()
        self.ended: list[Chunk] = []
        self.one_ended = threading.Semaphore(0)
        self.runner = Recorder()
        self.loop: Any = EngineLoop(self.runner, ECHO, self.deliver)
        self.loop._pace.company_s = self.company_s

    def company_s(self, tokens: int) -> float:
        if not tokens or not self.waits_s:
            return 0.0
        self.is_waiting.set()
        return self.waits_s.pop(0)

    def deliver(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            if chunk.is_final:
                self.ended.append(chunk)
                self.one_ended.release()

    def start(self) -> None:
        self.loop.start()
        self.loop.ready.result()
        self.runner.plans.clear()


@pytest.fixture
def patient() -> Any:
    made: list[Patient] = []

    def make(*waits_s: float) -> Patient:
        made.append(Patient(*waits_s))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.loop.stop()


def test_who_comes_while_an_idle_engine_waits_is_in_its_first_step(patient: Callable[..., Patient]) -> None:
    one = patient(30.0)
    one.loop.submit(work("a b c"))
    assert one.is_waiting.wait(10)
    one.loop.submit(work("d e f"))
    for _ in range(2):
        assert one.one_ended.acquire(timeout=10)
    assert [row.is_prompt for row in one.runner.plans[0].rows] == [True, True]


def test_an_engine_that_is_stopped_waits_for_nobody(patient: Callable[..., Patient]) -> None:
    one = patient(30.0)
    one.loop.submit(work("a b c"))
    assert one.is_waiting.wait(10)
    one.loop.stop()
    assert [type(chunk.error) for chunk in one.ended] == [EngineStopped]
    assert not one.runner.plans


def test_who_is_cancelled_while_he_waits_is_not_waited_with(patient: Callable[..., Patient]) -> None:
    one = patient(30.0)
    asked = work("a b c")
    one.loop.submit(asked)
    assert one.is_waiting.wait(10)
    one.loop.cancel(asked.id)
    assert one.one_ended.acquire(timeout=10)
    one.loop.submit(work("d"))
    assert one.one_ended.acquire(timeout=10)
    assert len(one.runner.plans[0].rows) == 1


def test_company_is_worth_a_twentieth_of_what_a_prompt_takes() -> None:
    pace = Pace()
    assert pace.company_s(1000) == 0, "nobody knows yet what it takes"
    pace.measured(StepPlan((Row(0, 0, 0, tuple(range(100)), wants_token=True),)), 0.1)
    assert pace.company_s(20) == pytest.approx(0.001)
    assert pace.company_s(100_000) == COMPANY_S
