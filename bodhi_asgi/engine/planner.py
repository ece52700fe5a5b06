"""What the next step computes: continuous batching.

Every step gives each running sequence its one token first, then fills the batch with pieces of waiting prompts, so
that a long prompt never stops the others for longer than one piece. Sequences with different adapters take turns,
because a step has one set of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from bodhi_asgi.engine.adapters import Turns
from bodhi_asgi.engine.cells import Cells
from bodhi_asgi.engine.drafts import MOST_STREAMS, Sizes, Wanted
from bodhi_asgi.engine.pace import shares
from bodhi_asgi.engine.places import Places
from bodhi_asgi.engine.plan import AdapterSet, Row, StepPlan
from bodhi_asgi.engine.sequence import Sequence as Running

NO_DRAFTS: Final[Mapping[int, Sequence[int]]] = MappingProxyType({})


class Planner:
    """Of one scheduler. ``n_batch`` is how many tokens a step has at most."""

    def __init__(self, places: Places, cells: Cells, *, n_ctx: int, n_batch: int) -> None:
        self._places = places
        self._cells = cells
        self._slots = cells.table
        self._n_ctx = n_ctx
        self._n_batch = n_batch
        self._turns = Turns()
        # The same list and the same line, because every step looks at them.
        self._running = places.running
        self._queue = places.queue

    def wanted_drafts(self, sizes: Sizes) -> list[Wanted]:
        """Who would take a guess of his next tokens; nobody when steps are full without."""
        awaited = [sequence for sequence in self._running if sequence.wants_token]
        if not 0 < len(awaited) <= MOST_STREAMS:
            return []
        most = self._n_batch // len(awaited) - 1
        wanted = (
            Wanted(one.number, one.tokens, min(most, sizes.of(one.number), one.most_drafts(self._n_ctx)))
            for one in awaited
        )
        return [one for one in wanted if one.most > 0]

    def plan(self, prefill_limit: int, drafts: Mapping[int, Sequence[int]]) -> StepPlan | None:
        """The next step, or None when there is nothing to compute.

        ``prefill_limit`` is the piece of a prompt for which those who wait for their next token may be held up, see
        :func:`~bodhi_asgi.engine.pace.shares`. ``drafts`` are guesses of what sequences say next, by their number.
        """
        self._cells.keep_copies(self._running)
        if not drafts and (rows := self._only_decoding()):
            return StepPlan(tuple(rows), self._cells.edits(), self._running[0].adapters, reads=False)
        for _ in range(2):  # who had to give way in the first round may be let in again in the second
            self._places.let_in()
            for adapters in self._turns.order(
                sequence.adapters for sequence in self._running if not sequence.is_paused
            ):
                rows = self._rows(adapters, prefill_limit, drafts)
                if rows:
                    self._turns.served(adapters)
                    return StepPlan(tuple(rows), self._cells.edits(), adapters)
        edits = self._cells.edits()
        return StepPlan((), edits) if edits else None

    def _only_decoding(self) -> list[Row]:
        """The rows of a step in which all who run have their one token, as in most steps; none where it is not so.

        There is nobody to be let in, nobody stands still, and nobody has to give anything up.
        """
        running = self._running
        if not running or self._queue or self._slots.cells_free < len(running):
            return []
        adapters = running[0].adapters
        for one in running:
            if one.pending != 1 or one.is_paused or one.adapters != adapters:
                return []
        rows = []
        for one in running:
            row = one.next_row()
            self._slots.hold(row.slot, row.position + 1)
            rows.append(row)
        return rows

    def _rows(self, adapters: AdapterSet, prefill_limit: int, drafts: Mapping[int, Sequence[int]]) -> list[Row]:
        """One step of the sequences with these adapters: the others wait for the next one."""
        rows = self._decode_rows(adapters, drafts)
        budget = self._n_batch - sum(len(row.tokens) for row in rows)
        prompts = self._ready_prompts(adapters)
        most = [one.pending for one in prompts]
        speaking = sum(sequence.wants_token for sequence in self._running)
        if speaking:
            most = shares(prefill_limit, budget, speaking, most)
        rows += self._prefill_rows(zip(prompts, most, strict=True), budget)
        # Room is made at the cost of others, who may have had their row already, and may even be back by now.
        latest = {row.sampler: row for row in rows}
        return [row for sequence in self._running if (row := latest.get(sequence.number)) and sequence.is_next(row)]

    def _decode_rows(self, adapters: AdapterSet, drafts: Mapping[int, Sequence[int]]) -> list[Row]:
        return [
            self._hold_row(sequence, 1, drafts.get(sequence.number, ()))
            for sequence in tuple(self._running)
            if sequence.wants_token and sequence.adapters == adapters and self._places.make_room(sequence, 1)
        ]

    def _prefill_rows(self, prompts: Iterable[tuple[Running, int]], budget: int) -> list[Row]:
        rows: list[Row] = []
        for sequence, most in prompts:
            size = min(budget, most)
            if size > 0 and sequence.slot is not None and self._places.make_room(sequence, sequence.fitting(1)):
                size = sequence.fitting(min(self._cells.piece(sequence, size), self._cells.available))
                rows.append(self._hold_row(sequence, size))
                budget -= size
        return rows

    def _ready_prompts(self, adapters: AdapterSet) -> list[Running]:
        """Who has a prompt to be computed and does not wait for another to compute the beginning of it."""
        ready: list[Running] = []
        ahead: dict[int, Running] = {}
        for sequence in self._running:
            if sequence.slot is None or sequence.is_paused or sequence.adapters != adapters:
                continue
            if sequence.pending > 1 and (sequence.computed or self._cells.begin(sequence, ahead)):
                ready.append(sequence)
            ahead[sequence.slot] = sequence
        return ready

    def _hold_row(self, sequence: Running, size: int, drafts: Sequence[int] = ()) -> Row:
        # Nobody gives way for a guess.
        guess = tuple(drafts[: max(0, self._cells.available - size)]) if drafts else ()
        self._cells.extend(sequence, size + len(guess))
        return sequence.row(size, guess)
