"""Guesses: where they come from, and that answers are the same with and without them and only come sooner."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.cells import make_cells
from bodhi_asgi.engine.drafts import PromptLookup, Sizes, Wanted
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.runners.echo import EchoRunner
from bodhi_asgi.engine.scheduler import Scheduler
from bodhi_asgi.engine.types import Engine, ModelSpec, Speculation
from bodhi_asgi.messages.generation import Constraint, ConstraintKind, Sampling
from tests.engine.gguf_files import rewrite, unpacked, write_full_precision
from tests.engine.support import ECHO, LLAMA, becomes_idle, text_of, work
from tests.engine.test_adapters import running

COPY = "Repeat after me: " + "one two three four one two three four one two three four"
ASKED = (
    COPY,
    "What is the capital of France?",
    "Count to fifty",
    "Tell me about apples",
    "Repeat after me: green tiger green tiger",
)


# -- where guesses come from


def test_a_sequence_is_guessed_to_go_on_as_it_did_before() -> None:
    lookup = PromptLookup()
    tokens = [1, 2, 3, 4, 5, 9, 2, 3]
    assert lookup.draft([Wanted(7, tokens, 2)]) == {7: [4, 5]}
    tokens += [4]
    assert lookup.draft([Wanted(7, tokens, 8)]) == {7: [5, 9, 2, 3, 4]}
    tokens += [77]
    assert lookup.draft([Wanted(7, tokens, 8)]) == {}


def test_an_image_is_never_a_guess_and_an_ended_sequence_is_forgotten() -> None:
    lookup = PromptLookup()
    assert lookup.draft([Wanted(1, [5, 6, 7, -9, -10, 5, 6], 4)]) == {1: [7]}
    assert lookup.draft([Wanted(2, [5, 6, -9, 5, 6], 4)]) == {}
    lookup.forget(1)
    lookup.forget(3)
    assert lookup.draft([Wanted(1, [8, 9], 4)]) == {}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 9))
def test_a_guess_is_always_what_followed_the_same_tokens_once(tokens: list[int], most: int) -> None:
    lookup, grown = PromptLookup(), []
    for token in tokens:
        grown.append(token)
        for guess in lookup.draft([Wanted(0, grown, most)]).values():
            assert 0 < len(guess) <= most
            text, found = f",{','.join(map(str, grown))},", f",{','.join(map(str, [*grown[-2:], *guess]))},"
            assert found in text


def test_guesses_grow_while_they_come_true_and_shrink_when_not() -> None:
    sizes = Sizes(16)
    assert sizes.of(1) == 4
    sizes.learn(1, 4, 4)
    assert sizes.of(1) == 8
    sizes.learn(1, 8, 3)
    assert sizes.of(1) == 3
    sizes.learn(1, 3, 0)
    sizes.learn(1, 0, 0)
    assert sizes.of(1) == 1
    sizes.forget(1)
    assert sizes.of(1) == 4
    assert Sizes(2).of(1) == 2


def test_a_sequence_rests_from_guessing_ever_longer_while_nothing_comes_true() -> None:
    sizes, rests = Sizes(16), []
    for _ in range(6):
        sizes.learn(1, max(1, sizes.of(1)), 0)
        rests.append(0)
        while not sizes.of(1):
            sizes.learn(1, 0, 0)
            rests[-1] += 1
    assert rests == [1, 3, 7, 15, 15, 15]
    sizes.learn(1, 1, 1)
    assert sizes.of(1) == 2
    sizes.learn(1, 2, 0)
    sizes.learn(1, 0, 0)
    assert sizes.of(1) == 1


# -- the scheduler with guesses of every kind


@given(st.data())
def test_whatever_is_guessed_everybody_says_his_words_and_every_cell_is_given_back(data: st.DataObject) -> None:
    spec = replace(ECHO, n_ctx=data.draw(st.sampled_from([40, 64])), n_batch=16, slots=3)
    runner = EchoRunner(spec)
    facts = runner.load(lambda _: True)
    cells = make_cells(spec, facts)
    limits = {"queue_limit": 9, "queue_limit_per_owner": 9}
    scheduler = Scheduler(runner.vocabulary, cells=cells, n_ctx=facts.n_ctx, n_batch=16, **limits)
    said: dict[str, str] = {}
    wanted_words: dict[str, str] = {}
    for index in range(3):
        text = " ".join(f"{index}.{word}" for word in range(data.draw(st.integers(1, 9))))
        asked = work(text)
        tokens = runner.vocabulary.encode(asked.request.prompt)
        runner.begin(scheduler.add(asked, tokens).number, asked.request, tokens)
        said[asked.id], wanted_words[asked.id] = "", text
    sizes = Sizes(8)
    for _ in range(200):
        drafts = {}
        for one in scheduler.wanted_drafts(sizes):
            right = one.tokens[one.tokens.index(1) + 1 : one.tokens.index(2)]
            done = len(one.tokens) - one.tokens.index(2) - 1
            guess = right[done : done + data.draw(st.integers(0, 6))]
            wrong = data.draw(st.lists(st.integers(0, 9), max_size=3))
            drafts[one.number] = [*guess, *wrong][: one.most]
        plan = scheduler.schedule(16, drafts)
        if plan is None:
            break
        assert plan.tokens <= 16
        for chunk in scheduler.apply(plan, runner.run(plan)):
            said[chunk.work_id] += chunk.text
        for number in scheduler.ended_samplers():
            runner.end(number)
        scheduler.check()
    assert said == wanted_words
    assert scheduler.stats().cells_used == 0


# -- in llama.cpp


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drafts")
    write_full_precision(DEMO_MODEL_PATH, folder / "model.gguf")
    # Of the same vocabulary, with half of its layers: what it guesses is sometimes right.
    rewrite(
        folder / "model.gguf",
        folder / "half.gguf",
        keys={"llama.block_count": lambda _: 3},
        tensor=unpacked,
        but=lambda name: name.startswith(("blk.3.", "blk.4.", "blk.5.")),
    )
    return folder


SPECULATIONS = {
    "lookup": Speculation("lookup", 8),
    "itself": Speculation("model", 6, "model.gguf"),
    "half": Speculation("model", 4, "half.gguf"),
}


def spec_of(folder: Path, name: str) -> ModelSpec:
    plain = replace(LLAMA, path=str(folder / "model.gguf"), n_ctx=1024, slots=4)
    if name == "none":
        return plain
    speculation = SPECULATIONS[name]
    path = str(folder / speculation.path) if speculation.path else ""
    return replace(plain, speculation=replace(speculation, path=path))


@pytest.fixture(params=[("thread", "lookup"), ("thread", "itself"), ("thread", "half"), ("process", "lookup")])
async def engine(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Engine]:
    place, name = request.param
    async with running(place, spec_of(folder, name)) as engine:
        yield engine


async def answers(engine: Engine, **options: Any) -> list[str]:
    return [await text_of(engine, work(text, **options)) for text in ASKED]


KINDS: dict[str, dict[str, Any]] = {
    "greedy": {"max_tokens": 60},
    "short": {"max_tokens": 3},
    "sampled": {"max_tokens": 40, "sampling": Sampling(temperature=1.0, seed=5)},
    "penalised": {"max_tokens": 40, "sampling": Sampling(temperature=0, repeat_penalty=1.2, penalty_last_n=64)},
    "stopped": {"max_tokens": 60, "stop": ("three",)},
    "held to a choice": {
        "max_tokens": 60,
        "constraint": Constraint(ConstraintKind.CHOICE, '["one two three four one two three four", "no"]'),
    },
}


async def test_answers_are_those_without_guesses(engine: Engine, folder: Path) -> None:
    async with running("thread", spec_of(folder, "none")) as plain:
        expected = {kind: await answers(plain, **options) for kind, options in KINDS.items()}
        steps = (await plain.stats()).steps

    assert {kind: await answers(engine, **options) for kind, options in KINDS.items()} == expected
    assert (await engine.stats()).steps < steps
    together = await asyncio.gather(*(text_of(engine, work(text, max_tokens=60)) for text in ASKED * 3))
    assert together == expected["greedy"] * 3
    await becomes_idle(engine)


async def test_a_cancelled_answer_leaves_nothing_of_its_guesses(engine: Engine) -> None:
    whole = await text_of(engine, work(COPY, max_tokens=30))
    for tokens in range(1, 6):
        stream = engine.submit(work(COPY))
        for _ in range(tokens):
            await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
    await becomes_idle(engine)
    assert await text_of(engine, work(COPY, max_tokens=30)) == whole


async def test_a_draft_model_that_cannot_guess_for_the_model_is_a_failed_load(tmp_path: Path) -> None:
    other = rewrite(DEMO_MODEL_PATH, tmp_path / "other.gguf", keys={"tokenizer.ggml.tokens": _renamed})
    for path, reason in ((other, "another vocabulary"), (tmp_path / "none.gguf", "cannot be read")):
        engine = ThreadEngine(replace(LLAMA, speculation=Speculation("model", 4, str(path))))
        with pytest.raises(ModelLoadFailed, match=reason):
            await engine.start()
        await engine.aclose()


def _renamed(tokens: list[str]) -> list[str]:
    return [*tokens[:500], f"{tokens[500]}x", *tokens[501:]]
