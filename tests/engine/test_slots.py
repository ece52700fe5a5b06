"""Cells add up in whatever order they are taken, shared, kept and dropped, here and in the real cache."""

from dataclasses import replace

import llama_cpp
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bodhi_asgi.engine.plan import Clear, Copy, Edit, Fetch, Forget, Row, StepOutcome, StepPlan, Stow
from bodhi_asgi.engine.runners.llama import LlamaRunner
from bodhi_asgi.engine.slots import MOST_IDS, SlotTable, sequence_ids
from tests.engine.support import LLAMA

SLOTS, IDS = 4, 7


class AnyOrder(RuleBasedStateMachine):
    """A table against sets of numbered cells, of which a slot has a list and two may have the same."""

    CELLS = 40

    def __init__(self) -> None:
        super().__init__()
        self.table = SlotTable(SLOTS, self.CELLS, IDS)
        self.used: dict[int, list[int]] = {}
        self.kept: dict[int, list[int]] = {}
        self.stowed: dict[int, int] = {}  # the cells of each place
        self.next_place = MOST_IDS
        self.edits: list[Edit] = []
        self.next_cell = 0

    @property
    def everybody(self) -> dict[int, list[int]]:
        return self.used | self.kept

    @precondition(lambda self: self.table.has_free_slot and self.table.has_free_id)
    @rule()
    def take(self) -> None:
        slot = self.table.take()
        assert slot not in self.everybody
        self.used[slot] = []

    @precondition(lambda self: self.used)
    @rule(data=st.data(), cells=st.integers(0, CELLS))
    def hold(self, data: st.DataObject, cells: int) -> None:
        slot = data.draw(st.sampled_from(sorted(self.used)))
        own = self.used[slot]
        others = {cell for other, cells in self.everybody.items() if other != slot for cell in cells}
        least = max((place + 1 for place, cell in enumerate(own) if cell in others), default=0)
        cells = max(least, min(cells, len(own) + self.table.cells_free))
        if cells < len(own):
            if self.table._used[slot].last.cells < len(own) - cells:  # type: ignore[union-attr]
                return  # its own cells stand in runs that once were shared
            self.edits.append(Clear(slot, cells))
        self.table.hold(slot, cells)
        del own[cells:]
        while len(own) < cells:
            own.append(self.next_cell)
            self.next_cell += 1

    @precondition(lambda self: any(self.everybody.values()) and not all(self.used.values()))
    @rule(data=st.data(), share=st.floats(0, 1))
    def share(self, data: st.DataObject, share: float) -> None:
        source = data.draw(st.sampled_from(sorted(slot for slot, cells in self.everybody.items() if cells)))
        target = data.draw(st.sampled_from(sorted(slot for slot, cells in self.used.items() if not cells)))
        cells = max(1, int(share * len(self.everybody[source])))
        self.table.share(source, target, cells)
        self.used[target] = self.everybody[source][:cells]
        self.edits.append(Copy(source, target, cells))

    @precondition(lambda self: self.used)
    @rule(data=st.data())
    def keep(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.used)))
        self.table.keep(slot)
        self.kept[slot] = self.used.pop(slot)

    @precondition(lambda self: self.everybody)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.everybody)))
        self.table.drop(slot)
        if (self.used if slot in self.used else self.kept).pop(slot):
            self.edits.append(Clear(slot))

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def stow(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.kept)))
        if not self.kept[slot]:
            return
        place, self.next_place = self.next_place, self.next_place + 1
        self.table.stow(slot, place)
        self.stowed[place] = len(self.kept.pop(slot))
        self.edits += [Stow(slot, place), Clear(slot)]

    @precondition(lambda self: self.stowed and not all(self.used.values()))
    @rule(data=st.data())
    def fetch(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.stowed)))
        slot = data.draw(st.sampled_from(sorted(slot for slot, cells in self.used.items() if not cells)))
        cells = self.stowed[place]
        if cells > self.table.cells_free:
            return
        self.table.fetch(place, slot, cells)
        self.used[slot] = list(range(self.next_cell, self.next_cell + cells))
        self.next_cell += cells
        self.edits.append(Fetch(place, slot))

    @precondition(lambda self: self.stowed)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.stowed)))
        self.table.forget(place)
        del self.stowed[place]
        self.edits.append(Forget(place))

    @rule()
    def take_edits(self) -> None:
        assert list(self.table.edits()) == self.edits
        self.edits = []

    @invariant()
    def it_adds_up(self) -> None:
        self.table.check()
        used = {cell for cells in self.used.values() for cell in cells}
        kept = {cell for cells in self.kept.values() for cell in cells} - used
        assert (self.table.cells_used, self.table.cells_kept) == (len(used), len(kept))
        assert self.table.cells_free == self.CELLS - len(used) - len(kept)
        assert self.table.cells_available == self.CELLS - len(used)
        assert self.table.slots_used == len(self.used)
        for slot, cells in self.everybody.items():
            assert self.table.cells_of(slot) == len(cells)


def test_slots_and_cells_add_up_in_whatever_order_they_are_taken_shared_kept_and_dropped() -> None:
    run_state_machine_as_test(AnyOrder, settings=settings(max_examples=60, stateful_step_count=40))


class InTheRealCache(AnyOrder):
    """The same, carried out by llama.cpp, which then has exactly as many free cells as the table says."""

    CELLS = 256
    runner: LlamaRunner

    def __init__(self) -> None:
        super().__init__()
        self.runner.run(StepPlan((), tuple(map(Clear, range(IDS)))))

    def take_edits(self) -> None:
        """As each step does."""

    @invariant()
    def it_is_so_in_the_real_cache(self) -> None:
        assert self.runner.run(StepPlan((), self.table.edits())).lost == frozenset()
        for slot, cells in self.everybody.items():
            done = llama_cpp.llama_memory_seq_pos_max(llama_cpp.llama_get_memory(self.runner._context), slot) + 1
            if done < len(cells):
                assert self.decode(slot, done, len(cells) - done) is StepOutcome.DONE
        free = self.table.cells_free
        spare = next((slot for slot in range(IDS) if slot not in self.everybody), None)
        if spare is not None and 0 < free < self.CELLS:
            assert self.decode(spare, 0, free + 1) is StepOutcome.NO_CELLS
            assert self.decode(spare, 0, free) is StepOutcome.DONE
            self.runner.run(StepPlan((), (Clear(spare),)))

    def decode(self, slot: int, position: int, tokens: int) -> StepOutcome:
        return self.runner.run(StepPlan((Row(slot, 0, position, (1,) * tokens, wants_token=False),))).outcome


def test_llama_cpp_counts_shared_cells_as_the_table_does() -> None:
    runner = InTheRealCache.runner = LlamaRunner(replace(LLAMA, n_ctx=256, slots=IDS, prefix_sharing="none"))
    runner.load(lambda _: True)
    run_state_machine_as_test(InTheRealCache, settings=settings(max_examples=8, stateful_step_count=25))
    runner.unload()


def test_llama_cpp_says_which_slot_gets_nothing_back_and_goes_on() -> None:
    runner = LlamaRunner(replace(LLAMA, n_ctx=256, slots=IDS, prefix_sharing="none"))
    runner.load(lambda _: True)
    long, longer = Row(0, 0, 0, (1,) * 100, wants_token=False), Row(1, 1, 0, (1,) * 200, wants_token=False)
    runner.run(StepPlan((long,)))
    runner.run(StepPlan((longer,), (Stow(0, MOST_IDS), Clear(0))))
    failed = runner.run(StepPlan((Row(2, 2, 100, (1,), wants_token=False),), (Fetch(MOST_IDS, 2),)))
    assert (failed.outcome, failed.lost) == (StepOutcome.ABORTED, {2})
    fetched = (Clear(1), Fetch(MOST_IDS, 2), Forget(MOST_IDS))
    assert runner.run(StepPlan((Row(2, 2, 100, (1,), wants_token=False),), fetched)).outcome is StepOutcome.DONE
    runner.unload()


def test_more_cells_than_there_are_cannot_be_held() -> None:
    table = SlotTable(2, 10)
    table.hold(table.take(), 6)
    with pytest.raises(AssertionError, match="more cells held than there are"):
        table.hold(table.take(), 5)


def test_a_slot_that_is_free_and_used_at_once_is_noticed() -> None:
    table = SlotTable(2, 10)
    table._free.append(table.take())
    with pytest.raises(AssertionError, match="slots do not add up"):
        table.check()


def test_there_are_ids_for_what_is_cached_as_far_as_llama_cpp_has_them() -> None:
    assert sequence_ids(replace(LLAMA, slots=8, prefix_sharing="none")) == 8
    assert sequence_ids(replace(LLAMA, slots=8)) == 32
    assert sequence_ids(replace(LLAMA, slots=250)) == MOST_IDS
    assert sequence_ids(replace(LLAMA, slots=16, n_batch=32)) == 32


@pytest.mark.parametrize(("n_batch", "slots"), [(32, 9), (32, 32), (64, 60)])
def test_a_model_has_no_more_ids_than_a_step_has_tokens(n_batch: int, slots: int) -> None:
    runner = LlamaRunner(replace(LLAMA, n_ctx=256, n_batch=n_batch, slots=slots))
    assert runner.load(lambda _: True).sequences == n_batch, "llama.cpp ends the process for one more"
    runner.unload()
