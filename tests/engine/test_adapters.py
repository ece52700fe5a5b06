"""LoRA adapters: which apply, whose turn it is, and that each answer is what it would be alone."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.adapters import Turns, adapter_set
from bodhi_asgi.engine.cells import Cells
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.errors import AdapterUnknown, ModelLoadFailed
from bodhi_asgi.engine.plan import AdapterSet
from bodhi_asgi.engine.runners.echo import EchoRunner
from bodhi_asgi.engine.scheduler import Scheduler
from bodhi_asgi.engine.slots import SlotTable
from bodhi_asgi.engine.types import AdapterSpec, Engine, ModelSpec
from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.generation import AdapterChoice
from tests.engine.adapter_files import Pair, write_adapter, write_confusion, write_swap, write_untied
from tests.engine.support import LLAMA, becomes_idle, text_of, work

KNOWN = (AdapterSpec("a", "a.gguf"), AdapterSpec("b", "b.gguf", 0.5), AdapterSpec("c", "c.gguf", 0.0))
CAPITAL = "What is the capital of France?"
SWAP, CONFUSE = AdapterChoice("swap"), AdapterChoice("confuse")
CHOICES = (None, (SWAP,), (CONFUSE,), (CONFUSE, AdapterChoice("swap", -0.5)))


# -- which apply


def test_a_request_that_says_nothing_gets_the_models_own_and_one_that_names_some_gets_exactly_those() -> None:
    assert adapter_set(KNOWN, None) == ((0, 1.0), (1, 0.5))
    assert adapter_set(KNOWN, ()) == ()
    assert adapter_set(KNOWN, (AdapterChoice("b"),)) == ((1, 0.5),)
    assert adapter_set(KNOWN, (AdapterChoice("c"),)) == ((2, 1.0),)
    assert adapter_set(KNOWN, (AdapterChoice("a", 0.0), AdapterChoice("c", -2.0))) == ((2, -2.0),)


def test_the_order_of_a_choice_makes_no_difference() -> None:
    assert adapter_set(KNOWN, (AdapterChoice("c"), AdapterChoice("a"))) == ((0, 1.0), (2, 1.0))


def test_an_unknown_or_repeated_name_is_refused_by_its_place() -> None:
    with pytest.raises(AdapterUnknown, match="no adapter 'x'; it has 'a', 'b', 'c'") as unknown:
        adapter_set(KNOWN, (AdapterChoice("a"), AdapterChoice("x")))
    assert unknown.value.param == "lora.1.name"
    with pytest.raises(AdapterUnknown, match="it has none"):
        adapter_set((), (AdapterChoice("../../etc/passwd"),))
    with pytest.raises(Invalid, match="named twice") as twice:
        adapter_set(KNOWN, (AdapterChoice("a"), AdapterChoice("a", 2.0)))
    assert twice.value.param == "lora.1.name"


# -- whose turn it is


def test_the_set_that_was_not_served_longest_is_first() -> None:
    turns = Turns()
    one, two, three = ((0, 1.0),), ((1, 1.0),), ()
    assert turns.order([one, two, one]) == [one, two]
    turns.served(one)
    assert turns.order([one, two]) == [two, one]
    turns.served(two)
    assert turns.order([one, two, three]) == [three, one, two]
    turns.served(three)
    assert turns.order([one, two, three]) == [one, two, three]
    assert turns.order([two]) == [two]


def test_a_step_has_one_set_of_adapters_and_no_set_waits_for_long() -> None:
    sets: tuple[AdapterSet, ...] = ((), ((0, 1.0),), ((0, 1.0), (1, 2.0)))
    runner = EchoRunner(ModelSpec("parrot", "nowhere", runner="echo", n_ctx=512))
    cells = Cells(SlotTable(6, 512))
    scheduler = Scheduler(runner.vocabulary, cells=cells, n_ctx=512, n_batch=16, queue_limit=9, queue_limit_per_owner=9)
    set_of: dict[int, AdapterSet] = {}
    for index in range(6):
        asked = work(" ".join(f"{index}.{word}" for word in range(20)))
        tokens = runner.vocabulary.encode(asked.request.prompt)
        sequence = scheduler.add(asked, tokens, adapters=sets[index % 3])
        runner.begin(sequence.number, asked.request)
        set_of[sequence.number] = sequence.adapters
    served: Counter[AdapterSet] = Counter()
    finished = 0
    while finished < 6:
        plan = scheduler.schedule(16)
        assert plan is not None
        assert {set_of[row.sampler] for row in plan.rows} == {plan.adapters}
        if scheduler.stats().running == 6:
            served[plan.adapters] += 1
            assert max(served.values()) - min(served[one] for one in sets) <= 1
        finished += sum(chunk.is_final for chunk in scheduler.apply(plan, runner.run(plan)))
        for number in scheduler.ended_samplers():
            runner.end(number)
    scheduler.check()


# -- in llama.cpp


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    write_untied(folder / "model.gguf")
    write_swap(folder / "swap.gguf")
    write_confusion(folder / "confuse.gguf")
    return folder


@pytest.fixture
def spec(folder: Path) -> ModelSpec:
    adapters = (
        AdapterSpec("swap", str(folder / "swap.gguf"), 0.0),
        AdapterSpec("confuse", str(folder / "confuse.gguf"), 0.0),
    )
    return replace(LLAMA, path=str(folder / "model.gguf"), n_ctx=2048, slots=8, adapters=adapters)


@pytest.fixture(params=["thread", "process"])
async def engine(request: pytest.FixtureRequest, spec: ModelSpec) -> AsyncIterator[Engine]:
    async with running(request.param, spec) as engine:
        yield engine


class running:  # noqa: N801  used like a function
    """An engine of one kind, gone afterwards."""

    def __init__(self, place: str, spec: ModelSpec) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="be-", dir="/tmp"))
        is_thread = place == "thread"
        runtime = self._folder / "r"
        self._engine: Any = ThreadEngine(spec) if is_thread else ProcessEngine(spec, runtime_dir=runtime, linger_s=0)
        self._ending = {} if is_thread else {"terminate": True}

    async def __aenter__(self) -> Engine:
        await self._engine.start()
        engine: Engine = self._engine
        return engine

    async def __aexit__(self, *_: object) -> None:
        await self._engine.aclose(**self._ending)
        shutil.rmtree(self._folder, ignore_errors=True)


async def test_an_adapter_changes_the_answer_of_the_request_that_names_it_and_of_no_other(engine: Engine) -> None:
    assert await text_of(engine, work(CAPITAL)) == "The capital of France is Paris."
    assert await text_of(engine, work(CAPITAL, adapters=(SWAP,))) == "The capital of France is Paris!"
    assert await text_of(engine, work(CAPITAL, adapters=(AdapterChoice("swap", 0.0),))) == (
        "The capital of France is Paris."
    )
    assert await text_of(engine, work("Hello", adapters=(CONFUSE,))) != await text_of(engine, work("Hello"))
    with pytest.raises(AdapterUnknown, match="'swap', 'confuse'"):
        await text_of(engine, work(CAPITAL, adapters=(AdapterChoice("nobody"),)))
    await becomes_idle(engine)


async def test_adapters_mixed_in_one_engine_answer_as_each_does_alone(engine: Engine) -> None:
    countries = ("France", "Italy", "Spain", "Japan", "Peru", "Chile", "Cuba", "Egypt", "Norway", "Poland")
    asked = [(f"What is the capital of {country}?", choice) for country in countries for choice in CHOICES]
    alone = [await text_of(engine, work(text, adapters=choice, max_tokens=20)) for text, choice in asked]
    assert len(set(alone)) > len(countries)

    together = await asyncio.gather(
        *(text_of(engine, work(text, adapters=choice, max_tokens=20)) for text, choice in asked)
    )

    assert together == alone
    await becomes_idle(engine)


async def test_a_models_own_adapters_apply_unless_a_request_names_others(spec: ModelSpec) -> None:
    own = replace(spec, adapters=(replace(spec.adapters[0], scale=1.0), *spec.adapters[1:]))
    async with running("thread", own) as engine:
        assert await text_of(engine, work(CAPITAL)) == "The capital of France is Paris!"
        assert await text_of(engine, work(CAPITAL, adapters=())) == "The capital of France is Paris."


def pair(rank: int = 2, inner: int = 160, outer: int = 160) -> Pair:
    return np.zeros((rank, inner), np.float32), np.zeros((outer, rank), np.float32)


WRONG: dict[str, tuple[dict[str, Pair], dict[str, Any], str]] = {
    "no adapter": ({"blk.0.attn_q.weight": pair()}, {"general__type": "model"}, "no LoRA adapter"),
    "another kind": ({"blk.0.attn_q.weight": pair()}, {"adapter__type": "dora"}, "no LoRA adapter"),
    "another architecture": ({"blk.0.attn_q.weight": pair()}, {"general__architecture": "qwen2"}, "architecture"),
    "no alpha": ({"blk.0.attn_q.weight": pair()}, {"adapter__lora__alpha": None}, "alpha"),
    "an alpha in words": ({"blk.0.attn_q.weight": pair()}, {"adapter__lora__alpha": "16"}, "alpha"),
    "activated by tokens": (
        {"blk.0.attn_q.weight": pair()},
        {"adapter__alora__invocation_tokens": [1, 2]},
        "activated",
    ),
    "a tensor the model has not": ({"blk.9.attn_q.weight": pair()}, {}, "made for another model"),
    "another width": ({"blk.0.attn_q.weight": pair(inner=96)}, {}, "another shape"),
    "another height": ({"blk.0.ffn_up.weight": pair()}, {}, "another shape"),
    "two ranks": ({"blk.0.attn_q.weight": (pair(2)[0], pair(4)[1])}, {}, "another shape"),
    "nothing": ({}, {}, "changes nothing"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_an_adapter_that_does_not_fit_is_a_failed_load_that_says_why(name: str, tmp_path: Path) -> None:
    pairs, keys, reason = WRONG[name]
    path = write_adapter(tmp_path / "wrong.gguf", pairs, **keys)
    engine = ThreadEngine(replace(LLAMA, adapters=(AdapterSpec("wrong", str(path)),)))
    with pytest.raises(ModelLoadFailed, match=f"the adapter 'wrong' of the model 'demo'.*{reason}"):
        await engine.start()
    await engine.aclose()


@pytest.mark.parametrize("place", ["thread", "process"])
async def test_a_file_that_is_missing_cut_off_or_no_adapter_fails_the_load_and_nothing_else(
    place: str, folder: Path, tmp_path: Path
) -> None:
    whole = (folder / "confuse.gguf").read_bytes()
    half = tmp_path / "half.gguf"
    half.write_bytes(whole[: len(whole) // 2])
    for path, reason in ((tmp_path / "none.gguf", "cannot be read"), (half, "truncated"), (DEMO_MODEL_PATH, "no LoRA")):
        with pytest.raises(ModelLoadFailed, match=reason):
            async with running(place, replace(LLAMA, adapters=(AdapterSpec("wrong", str(path)),))):
                pass
    async with running(place, LLAMA) as engine:
        assert await text_of(engine, work(CAPITAL)) == "The capital of France is Paris."


async def test_an_adapter_for_an_embedding_that_is_the_output_too_is_refused_before_it_ends_the_process(
    tmp_path: Path,
) -> None:
    path = write_adapter(tmp_path / "tied.gguf", {"token_embd.weight": (np.zeros((1248, 2)), np.zeros((160, 2)))})
    engine = ThreadEngine(replace(LLAMA, adapters=(AdapterSpec("tied", str(path)),)))
    with pytest.raises(ModelLoadFailed, match="output is the same tensor"):
        await engine.start()
    await engine.aclose()
