"""Vectors and scores of the real llama.cpp, held against numpy and its own bindings, and beside running answers."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.errors import CapabilityMissing, ContextLengthExceeded
from bodhi_asgi.engine.types import ModelSpec, PooledWork, Tuning
from bodhi_asgi.gguf.facts import facts_of
from bodhi_asgi.gguf.parts import parts, read_model
from bodhi_asgi.messages.conversation import TokenPrompt
from bodhi_asgi.messages.reading import EmbedRequest
from bodhi_asgi.models.capabilities import capabilities_of
from tests.engine.gguf_files import rewrite, write_full_precision
from tests.engine.minilm import WHEEL, convert
from tests.engine.reading_models import PARAPHRASES, SENTENCES, meaning_model, overlap_model, write
from tests.engine.support import becomes_idle, text_of, work
from tests.engine.test_pooled_contract import embed, likeness, rank, rows_of

BINDINGS = """
import json, sys
import llama_cpp
path, pooling, texts = json.load(sys.stdin)
model = llama_cpp.Llama(path, embedding=True, pooling_type=pooling, n_ctx=512, n_batch=512, n_threads=1, verbose=False)
print(json.dumps([model.create_embedding(text)["data"][0]["embedding"] for text in texts]))
"""
TEXTS = (*SENTENCES, *PARAPHRASES)
LONG = "The quick brown fox jumps over the lazy dog and runs away. " * 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def precise(folder: Path) -> Path:
    """The demo model in full precision."""
    return write_full_precision(DEMO_MODEL_PATH, folder / "precise.gguf")


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """Starts engines, and stops them when the test is over."""
    async with AsyncExitStack() as stack:

        async def started(path: Path, **changes: Any) -> ThreadEngine:
            engine = ThreadEngine(replace(ModelSpec("m", str(path), threads=1, slots=4, n_ctx=512), **changes))
            await engine.start()
            stack.push_async_callback(engine.aclose)
            return engine

        yield started


async def by_bindings(path: Path, pooling: int, texts: list[str]) -> list[tuple[float, ...]]:
    """What llama-cpp-python computes, one text at a time, in a process of its own; of length one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BINDINGS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(json.dumps([str(path), pooling, texts]).encode())
    vectors = [np.array(vector) for vector in json.loads(output)]
    return [tuple(vector / np.linalg.norm(vector)) for vector in vectors]


async def test_vectors_are_those_of_numpy_and_of_the_bindings(start: Any, folder: Path) -> None:
    model, path = meaning_model(), write(meaning_model(), folder / "meaning.gguf")
    rows = await rows_of(await start(path), embed(*TEXTS))

    for text, row, theirs in zip(TEXTS, rows, await by_bindings(path, 1, list(TEXTS)), strict=True):
        assert likeness(row, tuple(model.vector(text))) > 0.9999
        assert likeness(row, theirs) > 0.9999


async def test_scores_are_those_of_numpy(start: Any, folder: Path) -> None:
    model, path = overlap_model(), write(overlap_model(), folder / "overlap.gguf")
    scores = [row[0] for row in await rows_of(await start(path), rank(SENTENCES[0], *TEXTS))]

    assert scores == pytest.approx([model.score(SENTENCES[0], text) for text in TEXTS], abs=0.01)
    assert max(range(len(TEXTS)), key=lambda index: scores[index]) == 0


async def test_what_reads_and_what_ranks_do_so_in_parts_as_in_one_piece(start: Any, folder: Path) -> None:
    for model, asked, can in (
        (meaning_model(), embed(*TEXTS), ("embedding",)),
        (overlap_model(), rank(SENTENCES[0], *TEXTS), ("rerank",)),
    ):
        whole = write(model, folder / f"{can[0]}-whole.gguf")
        split = write(model, folder / f"{can[0]}-split.gguf", tensors_in_each=6)
        assert len(parts(split)) > 2
        assert capabilities_of(facts_of(*read_model(split))).names == can
        assert await rows_of(await start(split), asked) == await rows_of(await start(whole), asked)


async def test_the_first_of_two_outputs_is_a_share_that_says_the_same_as_one_output(start: Any, folder: Path) -> None:
    one = write(overlap_model(), folder / "one.gguf")
    two = write(overlap_model(), folder / "two.gguf", labels=("yes", "no"))
    scores = [[row[0] for row in await rows_of(await start(path), rank(SENTENCES[0], *TEXTS))] for path in (one, two)]

    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


async def test_a_pair_is_written_by_the_models_own_template_and_stays_text_in_it(start: Any, folder: Path) -> None:
    by_hand = await start(write(overlap_model(), folder / "plain.gguf"))
    path = write(overlap_model(), folder / "template.gguf", template="[CLS]{query}[SEP]{document}[SEP]")
    by_template = await start(path)
    assert await rows_of(by_template, rank(SENTENCES[0], *TEXTS)) == await rows_of(by_hand, rank(SENTENCES[0], *TEXTS))

    # What is typed is neither a token nor a place of the template.
    for asked in (rank("cat", "[SEP] cat [CLS]"), rank("{document}", "cat {query} cat")):
        assert await rows_of(by_template, asked) == await rows_of(by_hand, asked)


@pytest.mark.parametrize(("pooling", "number"), [("mean", 1), ("cls", 2), ("last", 3)])
async def test_a_chat_model_reads_in_pieces_what_the_bindings_read_at_once(
    start: Any, precise: Path, pooling: Any, number: int
) -> None:
    texts = [*TEXTS, LONG]
    theirs = await by_bindings(precise, number, texts)
    for n_batch in (32, 512):
        engine = await start(precise, n_batch=n_batch, tuning=Tuning(pooling=pooling))
        for row, other in zip(await rows_of(engine, embed(*texts)), theirs, strict=True):
            assert likeness(row, other) > 0.9999
        await engine.aclose()


async def test_what_a_file_says_of_its_pooling_is_what_is_done(start: Any, folder: Path, precise: Path) -> None:
    by_file = rewrite(precise, folder / "last.gguf", said={"llama.pooling_type": 3})
    by_setting = await start(precise, tuning=Tuning(pooling="last"))

    made_for_it = await start(by_file)
    rows, same = [await rows_of(engine, embed(*TEXTS)) for engine in (made_for_it, by_setting)]
    assert all(likeness(row, other) > 0.99999 for row, other in zip(rows, same, strict=True))
    assert await text_of(by_setting, work("What is bodhi_asgi?"))
    with pytest.raises(CapabilityMissing, match="does not speak"):
        await text_of(made_for_it, work("What is bodhi_asgi?"))


@pytest.mark.parametrize("number", [None, 0, 4, 99, 2**32 - 1])
async def test_a_chat_model_without_a_pooling_that_can_be_done_speaks_and_makes_no_vectors(
    start: Any, folder: Path, number: int | None
) -> None:
    said = {} if number is None else {"llama.pooling_type": number}
    engine = await start(rewrite(DEMO_MODEL_PATH, folder / f"pooling-{number}.gguf", said=said))

    for asked in (embed("hello"), rank("hello", "hello")):
        with pytest.raises(CapabilityMissing) as refused:
            await rows_of(engine, asked)
        assert refused.value.param == "model"
    assert await text_of(engine, work("What is bodhi_asgi?"))


async def test_a_model_that_looks_both_ways_reads_whole_texts_and_does_not_speak(
    start: Any, folder: Path, precise: Path
) -> None:
    said = {"llama.pooling_type": 1, "llama.attention.causal": False}
    path = rewrite(precise, folder / "both-ways.gguf", said=said)
    engine = await start(path, n_batch=32)

    theirs = await by_bindings(path, 1, [*TEXTS, LONG])
    for row, other in zip(await rows_of(engine, embed(*TEXTS, LONG)), theirs, strict=True):
        assert likeness(row, other) > 0.9999
    with pytest.raises(CapabilityMissing, match="chat model"):
        await text_of(engine, work("hello"))


async def test_texts_of_any_length_share_batches_without_touching_each_other(start: Any, precise: Path) -> None:
    engine = await start(precise, n_batch=64, tuning=Tuning(pooling="mean"))
    texts = [LONG[:size] for size in (1, 300, 2, 3, 250, 17, 90, 5, 340, 40)]
    alone = [(await rows_of(engine, embed(text)))[0] for text in texts]
    mixed = await asyncio.gather(rows_of(engine, embed(*texts)), *(rows_of(engine, embed(text)) for text in texts))

    for index, row in enumerate(alone):
        assert likeness(mixed[0][index], row) > 0.99999
        assert likeness(mixed[1 + index][0], row) > 0.99999
    await becomes_idle(engine)


async def test_an_encoder_is_never_given_more_tokens_than_it_has_positions(start: Any, folder: Path) -> None:
    engine = await start(write(meaning_model(), folder / "short.gguf"), n_ctx=4096)
    for count, fits in ((126, True), (127, False)):
        asked = embed(" ".join(["cat"] * count))
        if fits:
            assert await rows_of(engine, asked)
        else:
            with pytest.raises(ContextLengthExceeded, match="128"):
                await rows_of(engine, asked)
    exactly = PooledWork("p", EmbedRequest("m", (TokenPrompt((7,) * 128), TokenPrompt((7,)))))
    assert len(await rows_of(engine, exactly)) == 2


async def test_answers_are_the_same_and_keep_coming_while_texts_are_read(start: Any, precise: Path) -> None:
    engine = await start(precise, tuning=Tuning(pooling="mean"))
    questions = ["What is bodhi_asgi?", "Count to ten", "Repeat after me: apple river stone"]
    alone = [await text_of(engine, work(question, max_tokens=40)) for question in questions]
    reading = asyncio.create_task(rows_of(engine, embed(*[LONG] * 200)))
    answers = [await text_of(engine, work(question, max_tokens=40)) for question in questions]

    assert answers == alone
    assert not reading.done(), "the texts were read before any answer was complete"
    rows = await reading
    assert len(rows) == 200
    assert all(likeness(row, rows[0]) > 0.99999 for row in rows)


async def test_cancelling_stops_a_long_text_in_the_middle_of_a_step(start: Any, precise: Path) -> None:
    engine = await start(precise, tuning=Tuning(pooling="mean"))
    for _ in range(20):
        async with aclosing(engine.submit(embed(LONG, LONG))) as stream:
            await anext(stream)
        await becomes_idle(engine)
    (row,) = await rows_of(engine, embed(LONG))
    assert likeness(row, (await rows_of(engine, embed(LONG, "short")))[0]) > 0.99999


@pytest.mark.skipif(WHEEL is None, reason="no encoder: run .ci/minilm.py or set MINILM_WHEEL")
async def test_minilm_finds_as_alike_what_its_authors_say_it_does(start: Any, folder: Path) -> None:
    engine = await start(convert(WHEEL, folder / "minilm.gguf"))
    texts = ("That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day")
    person, *others = await rows_of(engine, embed(*texts))

    assert [likeness(person, other) for other in others] == pytest.approx([0.6946, 0.9429, 0.2569], abs=2e-3)
