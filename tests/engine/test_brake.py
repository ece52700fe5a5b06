"""What stops a step of llama.cpp counts the step's nodes and needs no word of Python."""

from collections.abc import Callable

import pytest

from bodhi_asgi.engine.plan import Clear, Row, StepOutcome, StepPlan
from bodhi_asgi.engine.runners import llama
from bodhi_asgi.engine.runners.llama import LlamaRunner
from bodhi_asgi.engine.runners.llama_brake import PERMITS, STEPS, Brake, CountingBrake, PermitBrake, make_brake
from tests.engine.support import LLAMA, work

PLAN = StepPlan((Row(0, 0, 0, (1, 2, 3), wants_token=True),), (Clear(0),))


@pytest.fixture(params=[PermitBrake, CountingBrake])
def make(request: pytest.FixtureRequest) -> Callable[[], Brake]:
    kind: Callable[[], Brake] = request.param
    return kind


def test_a_step_is_counted_and_stopped_by_either_brake(
    make: Callable[[], Brake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama, "make_brake", make)
    runner = LlamaRunner(LLAMA)
    runner.load(lambda _: True)
    runner.begin(0, work("Hello").request)
    try:
        before = runner.progress
        assert runner.run(PLAN).outcome is StepOutcome.DONE
        nodes = runner.progress - before
        assert 50 < nodes < 10_000
        runner.interrupt()
        assert runner.run(PLAN).outcome is StepOutcome.ABORTED
        assert runner.run(PLAN).outcome is StepOutcome.DONE
        assert 2 * nodes <= runner.progress - before < 3 * nodes
    finally:
        runner.unload()


def test_permits_are_filled_up_before_they_run_out() -> None:
    brake = PermitBrake()
    ask = brake.callback
    assert not ask(brake.data)
    assert (brake.progress, brake.is_pulled) == (1, False)
    brake._fill(PERMITS // 4)
    before = brake.progress
    for _ in range(STEPS):
        brake.release()
    assert brake.progress == before
    assert brake._left() == PERMITS


def test_one_who_pulls_twice_stops_one_step() -> None:
    brake = make_brake()
    brake.pull()
    brake.pull()
    assert brake.is_pulled
    assert brake.callback(brake.data)
    brake.release()
    assert not brake.is_pulled
    assert not brake.callback(brake.data)


def test_progress_stands_still_while_nothing_is_computed() -> None:
    brake = PermitBrake()
    brake.advance(5)
    assert brake.progress == 5
    brake.pull()
    assert brake.progress == 5
    brake.release()
    assert brake.progress == 5
