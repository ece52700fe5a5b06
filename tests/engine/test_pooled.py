"""Texts in batches as plain arithmetic: turns, pieces, and that nothing is lost or left, whatever happens."""

import struct
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.engine.errors import EngineStopped
from bodhi_asgi.engine.plan import StepOutcome
from bodhi_asgi.engine.pooled import PIECE_BYTES, PooledWorks
from bodhi_asgi.engine.pooled_plan import PooledPlan, PooledResult
from bodhi_asgi.engine.runners.echo import EchoVocabulary
from bodhi_asgi.engine.share import ALONE_S, MIN_TOKENS, PIECE_S, Share
from bodhi_asgi.engine.stack import Stack
from bodhi_asgi.engine.types import Chunk, EngineStats, ModelFacts, ModelSpec, PooledWork
from bodhi_asgi.messages.answers import Vectors
from bodhi_asgi.messages.conversation import TextPrompt
from bodhi_asgi.messages.reading import EmbedRequest, RerankRequest

BATCH = 32


class Machine:
    """Carries plans out, and refuses those that no cache could."""

    def __init__(self, **facts: Any) -> None:
        facts = {"embeds": True, "ranks": True, "width": 4, "longest_text": 64, "texts_at_once": 8} | facts
        self.facts = ModelFacts(n_ctx=64, n_vocab=1000, **facts)
        spec = ModelSpec("m", "x", runner="echo", n_batch=BATCH, slots=4, queue_limit=60)
        self.works = PooledWorks(self.facts, spec)
        self.begun: dict[int, tuple[int, int]] = {}
        self.chunks: list[Chunk] = []
        self.order: list[str] = []

    def add(self, name: str, *sizes: int, owner: str = "", ranks: bool = False) -> None:
        texts = tuple(" ".join("x" * size) for size in sizes)
        request: Any = (
            RerankRequest("m", "q", texts) if ranks else EmbedRequest("m", tuple(TextPrompt(text) for text in texts))
        )
        stack = Stack(PooledWork(name, request, owner))
        while not stack.is_read:
            stack.read(EchoVocabulary(), self.facts.longest_text)
        self.works.add(stack)

    def step(self, limit: int = BATCH, *, is_aborted: bool = False) -> PooledPlan | None:
        plan = self.works.plan(limit)
        if plan is None:
            return None
        self.check(plan, limit)
        if is_aborted:
            self.begun.clear()
            self.chunks += self.works.apply(plan, PooledResult(StepOutcome.ABORTED))
            return plan
        vectors = {}
        for passage in plan.passages:
            if passage.is_last:
                vectors[passage.slot] = struct.pack("<4f", passage.length, 0, 0, 0)
        self.begun = {one.slot: (one.end, one.length) for one in plan.passages if not one.is_last}
        self.chunks += self.works.apply(plan, PooledResult(vectors=vectors))
        return plan

    def check(self, plan: PooledPlan, limit: int) -> None:
        assert len({passage.slot for passage in plan.passages}) == len(plan.passages) <= self.facts.texts_at_once
        assert plan.cells <= max(BATCH, max(passage.length for passage in plan.passages))
        for index, passage in enumerate(plan.passages):
            if passage.position:
                assert index == 0, "only the first passage continues"
                assert self.begun[passage.slot] == (passage.position, passage.length)
        if self.facts.reads_in_pieces:
            assert plan.tokens <= limit
        else:
            assert all(passage.is_last for passage in plan.passages)
            assert plan.tokens <= limit or len(plan.passages) == 1

    def finish(self) -> None:
        while self.step() is not None:
            pass

    def rows(self, name: str) -> list[int]:
        parts = [chunk.part for chunk in self.chunks if chunk.work_id == name]
        data = b"".join(part.data for part in parts if isinstance(part, Vectors))
        return [int(row[0]) for row in struct.iter_unpack("<4f", data)]


def tokens(size: int) -> int:
    """What the echo makes of a text of so many words: two marks beside them."""
    return size + 2


def test_owners_take_turns_text_by_text_and_so_do_the_requests_of_one() -> None:
    machine = Machine()
    machine.add("ann1", *[2] * 20, owner="ann")
    machine.add("ann2", *[3] * 20, owner="ann")
    machine.add("bob", *[4] * 20, owner="bob")
    plan = machine.works.plan(BATCH)

    assert plan is not None
    assert [passage.length for passage in plan.passages] == [tokens(size) for size in (2, 4, 3, 4, 2, 4)]


def test_a_text_that_is_longer_than_a_step_is_read_in_pieces_or_alone() -> None:
    in_pieces, whole = Machine(reads_in_pieces=True), Machine()
    for machine in (in_pieces, whole):
        machine.add("long", 60, 1)
    pieces = [in_pieces.step(), in_pieces.step()]

    assert [[len(one.tokens) for one in plan.passages] for plan in pieces if plan] == [[32], [30]]
    plan = whole.step()
    assert plan is not None
    assert [len(one.tokens) for one in plan.passages] == [62]
    for machine in (in_pieces, whole):
        machine.finish()
        assert machine.rows("long") == [62, 3]


def test_pairs_and_texts_do_not_share_a_batch() -> None:
    machine = Machine()
    machine.add("texts", 1, 1)
    machine.add("pairs", 1, 1, ranks=True)
    plans = [machine.step(), machine.step()]

    assert [plan.ranks for plan in plans if plan] == [False, True]


def test_large_vectors_leave_in_chunks_that_fit_a_frame() -> None:
    machine = Machine()
    machine.add("wide", *[1] * 8)
    plan = machine.works.plan(BATCH)
    assert plan is not None
    wide = bytes(PIECE_BYTES // 2)
    chunks = machine.works.apply(plan, PooledResult(vectors={passage.slot: wide for passage in plan.passages}))

    sizes = [len(chunk.part.data) for chunk in chunks if isinstance(chunk.part, Vectors)]
    assert sizes == [PIECE_BYTES] * 4
    assert [chunk.is_final for chunk in chunks] == [False, False, False, True]


def test_numbers_that_are_not_finite_are_the_fault_of_one_text() -> None:
    machine = Machine()
    machine.add("one", 1, 2)
    machine.add("other", 3)
    plan = machine.works.plan(BATCH)
    assert plan is not None
    by_length = {tokens(1): bytes(16), tokens(2): b"", tokens(3): bytes(16)}
    chunks = machine.works.apply(plan, PooledResult(vectors={one.slot: by_length[one.length] for one in plan.passages}))

    assert {chunk.work_id: chunk.error.param if chunk.error else None for chunk in chunks} == {
        "one": "input.1",
        "other": None,
    }


def test_a_plan_that_cannot_be_carried_out_ends_its_requests_and_no_others() -> None:
    machine = Machine()
    machine.add("long", 50)
    machine.add("waits", 1)
    assert machine.works.plan(BATCH) is not None
    chunks = machine.works.give_up(EngineStopped("no room"))

    assert [chunk.work_id for chunk in chunks] == ["long"]
    machine.finish()
    assert machine.rows("waits") == [3]


ACTIONS = st.one_of(
    st.tuples(
        st.just("add"), st.lists(st.integers(1, 62), min_size=1, max_size=6), st.sampled_from("ab"), st.booleans()
    ),
    st.tuples(st.just("step"), st.integers(1, BATCH), st.booleans()),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("pause"), st.integers(0, 30), st.booleans()),
)


@given(st.lists(ACTIONS, max_size=40), st.booleans())
def test_whatever_happens_every_request_ends_once_with_its_rows_in_order(
    actions: list[tuple[Any, ...]], reads_in_pieces: bool
) -> None:
    machine = Machine(reads_in_pieces=reads_in_pieces)
    asked: dict[str, list[int]] = {}
    for action in actions:
        match action:
            case ("add", sizes, owner, ranks):
                # A pair is the query, three marks and the document.
                name, extra = f"w{len(asked)}", 1 if ranks else 0
                sizes = [min(size, 61) for size in sizes]
                asked[name] = [tokens(size) + extra for size in sizes]
                machine.add(name, *sizes, owner=owner, ranks=ranks)
            case ("step", limit, is_aborted):
                machine.step(limit, is_aborted=is_aborted)
            case ("cancel", number):
                machine.chunks += machine.works.cancel(f"w{number}")
            case ("pause", number, paused):
                machine.works.set_paused(f"w{number}", paused=paused)
        machine.works.check()
    for name in asked:
        machine.works.set_paused(name, paused=False)
    machine.finish()

    finals = Counter(chunk.work_id for chunk in machine.chunks if chunk.is_final)
    assert finals == Counter(dict.fromkeys(asked, 1))
    for name, sizes in asked.items():
        rows = machine.rows(name)
        is_complete = any(chunk.work_id == name and chunk.finish for chunk in machine.chunks)
        assert rows == (sizes if is_complete else sizes[: len(rows)])
    assert machine.works.is_idle
    stats = machine.works.added_to(EngineStats())
    assert (stats.running, stats.waiting) == (0, 0)


def test_a_batch_beside_streams_is_a_tenth_of_a_second_and_gives_as_much_back() -> None:
    assert Share(speaks=False).limit(512, beside_streams=False) == 512
    share = Share(speaks=True)
    assert share.limit(512, beside_streams=False) == MIN_TOKENS
    assert share.limit(512, beside_streams=True) == MIN_TOKENS
    assert share.is_due(0.0, beside_streams=True)
    share.measured(100, 1.0, 1.1)

    assert share.limit(512, beside_streams=True) == pytest.approx(100 * PIECE_S / 0.1, abs=1)
    assert share.limit(512, beside_streams=False) == pytest.approx(100 * ALONE_S / 0.1, abs=1)
    assert not share.is_due(1.15, beside_streams=True)
    assert share.is_due(1.21, beside_streams=True)
    assert share.is_due(1.15, beside_streams=False)
    share.measured(2, 2.0, 2.5)  # so few say nothing of a token's time
    assert share.limit(512, beside_streams=True) == pytest.approx(100, abs=1)
