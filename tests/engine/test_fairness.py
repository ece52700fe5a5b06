"""Slots, turns and places in the queue are shared between owners."""

import pytest

from bodhi_asgi.engine.cells import Cells
from bodhi_asgi.engine.errors import EngineBusy
from bodhi_asgi.engine.plan import StepPlan, StepResult
from bodhi_asgi.engine.prefix import RadixPrefix
from bodhi_asgi.engine.runners.echo import EchoRunner
from bodhi_asgi.engine.scheduler import Scheduler
from bodhi_asgi.engine.slots import SlotTable
from bodhi_asgi.engine.types import Chunk
from tests.engine.support import ECHO, work

TALK = " ".join(str(number) for number in range(40))


class Machine:
    """A scheduler over the echo runner, stepped by hand; the runner refuses a plan that no cache could carry out."""

    def __init__(
        self, *, slots: int = 4, n_ctx: int = 4096, queue_limit: int = 8, queue_limit_per_owner: int = 4
    ) -> None:
        self.runner = EchoRunner(ECHO)
        self.runner._n_ctx = n_ctx
        self.scheduler = Scheduler(
            self.runner.vocabulary,
            cells=Cells(SlotTable(slots, n_ctx, slots + 8), RadixPrefix()),
            n_ctx=n_ctx,
            n_batch=512,
            queue_limit=queue_limit,
            queue_limit_per_owner=queue_limit_per_owner,
        )
        self.said: dict[str, str] = {}
        self.ended: list[str] = []

    def ask(self, owner: str, text: str = TALK) -> str:
        asked = work(text, owner=owner)
        sequence = self.scheduler.add(asked, self.runner.vocabulary.encode(asked.request.prompt))
        self.runner.begin(sequence.number, asked.request)
        return asked.id

    def step(self) -> StepPlan | None:
        plan = self.scheduler.schedule(512)
        if plan is not None:
            result: StepResult = self.runner.run(plan)
            for chunk in self.scheduler.apply(plan, result):
                self._hear(chunk)
        for number in self.scheduler.ended_samplers():
            self.runner.end(number)
        self.scheduler.check()
        return plan

    def finish(self) -> None:
        while self.step() is not None:
            pass
        assert self.scheduler.is_idle

    def running(self) -> dict[str, int]:
        held: dict[str, int] = {}
        for sequence in self.scheduler._running:
            held[sequence.work.owner] = held.get(sequence.work.owner, 0) + 1
        return held

    def _hear(self, chunk: Chunk) -> None:
        assert chunk.error is None
        self.said[chunk.work_id] = self.said.get(chunk.work_id, "") + chunk.text
        if chunk.is_final:
            self.ended.append(chunk.work_id)


def test_who_is_alone_may_have_every_slot() -> None:
    machine = Machine()
    for _ in range(4):
        machine.ask("ada")
    machine.step()
    assert machine.running() == {"ada": 4}


def test_a_newcomer_gets_a_slot_at_once_from_who_has_most() -> None:
    machine = Machine()
    asked = [machine.ask("ada") for _ in range(4)]
    machine.step()
    late = machine.ask("bob")
    machine.step()
    assert machine.running() == {"ada": 3, "bob": 1}
    asked += [late, machine.ask("bob"), machine.ask("bob")]
    machine.step()
    assert machine.running() == {"ada": 2, "bob": 2}
    machine.finish()
    assert sorted(machine.ended) == sorted(asked)
    assert set(machine.said.values()) == {TALK}


def test_even_shares_stay_as_they_are() -> None:
    machine = Machine(slots=3)
    for owner in ("ada", "ada", "bob", "bob"):
        machine.ask(owner)
    for _ in range(10):
        machine.step()
        assert sorted(machine.running().values()) == [1, 2]
    machine.finish()


def test_many_newcomers_share_what_there_is_in_turns() -> None:
    machine = Machine(slots=2, queue_limit=64)
    order = [machine.ask(owner, "a b c") for owner in ("ada",) * 4 + ("bob",) * 2 + ("cyd",) * 2]
    machine.finish()
    owners = dict(zip(order, ("ada",) * 4 + ("bob",) * 2 + ("cyd",) * 2, strict=True))
    first_turns = [owners[work_id] for work_id in machine.ended[:3]]
    assert sorted(first_turns) == ["ada", "bob", "cyd"]


def test_a_newcomer_that_needs_cells_gets_them_from_who_has_most() -> None:
    machine = Machine(slots=8, n_ctx=256)
    asked = [machine.ask("ada") for _ in range(3)]
    for _ in range(8):
        machine.step()
    asked.append(machine.ask("bob", " ".join(str(number) for number in range(90))))
    machine.step()
    assert machine.running()["bob"] == 1
    machine.finish()
    assert sorted(machine.ended) == sorted(asked)


def test_one_owner_cannot_fill_the_queue_of_all() -> None:
    machine = Machine(slots=1, queue_limit=8, queue_limit_per_owner=4)
    machine.ask("ada")
    machine.step()
    for _ in range(4):
        machine.ask("ada")
    with pytest.raises(EngineBusy, match="number 5 in line, and no more than 4 of one caller may") as refused:
        machine.ask("ada")
    assert (refused.value.status, refused.value.params["position"]) == (429, 5)
    for _ in range(4):
        machine.ask("bob")
    with pytest.raises(EngineBusy, match="number 9 in line, and no more than 8 may wait") as refused:
        machine.ask("cyd")
    assert refused.value.params["position"] == 9
    assert refused.value.retry_after_s


def test_answers_that_their_owner_does_not_read_count_as_his_in_line() -> None:
    machine = Machine(slots=1, queue_limit_per_owner=2)
    unread = []
    for _ in range(3):
        unread.append(machine.ask("ann"))
        machine.step()
        machine.scheduler.set_paused(unread[-1], paused=True)
    with pytest.raises(EngineBusy, match="as 2 of yours do"):
        machine.ask("ann")
    machine.ask("bob")
    for one in unread:
        machine.scheduler.set_paused(one, paused=False)
    machine.finish()
    assert len(machine.ended) == 4


def test_who_finds_a_slot_is_taken_whatever_he_has_left_unread() -> None:
    machine = Machine(slots=2, queue_limit_per_owner=0)
    unread = [machine.ask("ann"), machine.ask("ann")]
    machine.step()
    for one in unread:
        machine.scheduler.set_paused(one, paused=True)
    others = [machine.ask("", "a") for _ in range(2)]
    while not {*others} <= {*machine.ended}:
        machine.step()
    machine.ask("ann")
    for one in unread:
        machine.scheduler.set_paused(one, paused=False)
    machine.finish()
    assert len(machine.ended) == 5


def test_the_host_may_fill_the_queue() -> None:
    machine = Machine(slots=1, queue_limit=8, queue_limit_per_owner=4)
    for _ in range(9):
        machine.ask("")
    with pytest.raises(EngineBusy, match="no more than 8"):
        machine.ask("")
