"""What is known to end or hang llama.cpp: every file, text and setting leaves the host alive and gets its answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.errors import ModelLoadFailed, PromptInvalid, RequestQuarantined
from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.errors import Invalid
from tests.engine.gguf_files import rewrite
from tests.engine.support import LLAMA, text_of, work
from tests.faults.engines import becomes_true, holders

Change = Callable[[Any], Any]


def set_to(value: Any) -> Change:
    return lambda _: value


CONTRADICTIONS: dict[str, dict[str, Change]] = {
    "no layers": {"llama.block_count": set_to(0)},
    "too many layers": {"llama.block_count": set_to(100_000)},
    "more layers than tensors": {"llama.block_count": set_to(60)},
    "an odd rope": {"llama.rope.dimension_count": set_to(31)},
    "another rope": {"llama.rope.dimension_count": set_to(64)},
    "tiny heads": {"llama.attention.head_count": set_to(64), "llama.attention.head_count_kv": set_to(64)},
    "heads that do not divide": {"llama.attention.head_count": set_to(7)},
    "more KV heads than heads": {"llama.attention.head_count_kv": set_to(64)},
    "another width": {"llama.embedding_length": set_to(96)},
    "no width": {"llama.embedding_length": set_to(0)},
    "no context": {"llama.context_length": set_to(0)},
    "no tokens": {"tokenizer.ggml.tokens": set_to(None)},
    "one token": {"tokenizer.ggml.tokens": lambda tokens: tokens[:1], "tokenizer.ggml.token_type": lambda t: t[:1]},
    "half the tokens": {"tokenizer.ggml.tokens": lambda tokens: tokens[: len(tokens) // 2]},
    "the same token everywhere": {"tokenizer.ggml.tokens": lambda tokens: ["x"] * len(tokens)},
    "empty tokens": {"tokenizer.ggml.tokens": lambda tokens: [""] * len(tokens)},
    "no bytes among the tokens": {
        "tokenizer.ggml.tokens": lambda tokens: [f"word{n}" for n in range(len(tokens))],
        "tokenizer.ggml.merges": set_to(None),
    },
    "no merges": {"tokenizer.ggml.merges": set_to(None)},
    "merges of nothing": {"tokenizer.ggml.merges": lambda merges: ["zz qq"] * len(merges)},
    "merges without a space": {"tokenizer.ggml.merges": lambda merges: ["nospace"] * len(merges)},
    "bytes declared as sentences": {"tokenizer.ggml.model": set_to("llama")},
    "bytes declared as word pieces": {"tokenizer.ggml.model": set_to("bert")},
    "bytes declared as rwkv": {"tokenizer.ggml.model": set_to("rwkv")},
    "bytes declared as t5": {"tokenizer.ggml.model": set_to("t5")},
    "an unknown tokenizer": {"tokenizer.ggml.model": set_to("nonsense")},
    "an unknown splitting": {"tokenizer.ggml.pre": set_to("nonsense")},
    "an end beyond the tokens": {"tokenizer.ggml.eos_token_id": set_to(4_000_000)},
    "a template that never ends": {
        "tokenizer.chat_template": set_to(
            "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}x{% endfor %}{% endfor %}"
            "{% endfor %}"
        )
    },
    "a template that is none": {"tokenizer.chat_template": set_to("{% if %}")},
    "a template that escapes": {
        "tokenizer.chat_template": set_to("{{ ''.__class__.__mro__[1].__subclasses__()[0].__init__.__globals__ }}")
    },
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@asynccontextmanager
async def engine_of(spec: ModelSpec, root: Path) -> AsyncIterator[ProcessEngine]:
    """An engine process that is gone afterwards."""
    engine = ProcessEngine(spec, runtime_dir=root / "r", linger_s=0)
    try:
        yield engine
    finally:
        await engine.aclose(terminate=True)
        await becomes_true(lambda: not holders(root), within_s=10)


@pytest.mark.parametrize("name", CONTRADICTIONS)
@pytest.mark.timeout(120)
async def test_a_model_that_contradicts_itself_is_refused_by_name_or_serves(name: str, files: Path, root: Path) -> None:
    path = rewrite(DEMO_MODEL_PATH, files / f"{name.replace(' ', '-')}.gguf", keys=CONTRADICTIONS[name])
    spec = replace(LLAMA, name="odd", path=str(path))
    refusal = ""
    async with engine_of(spec, root) as engine, asyncio.timeout(60):
        try:
            await engine.start()
            # It has shown that it can tokenise and compute, and so it answers, sense or nonsense.
            await text_of(engine, work("Hello", max_tokens=4))
        except ModelLoadFailed as refused:
            refusal = refused.message
        except (PromptInvalid, RequestQuarantined):
            refusal = "odd"  # its template is of no use, or takes for ever where the machine is busy
    assert not refusal or "odd" in refusal or path.name in refusal


SPLITTINGS = (
    *("falcon", "deepseek-llm", "deepseek-coder", "gpt-2", "llama-bpe"),
    *("qwen2", "starcoder", "command-r", "tekken"),
)
SAME = ("a", "A", "0", " ", "\n", "\t", "!", "é", "你", "😀", "\u200b", "\u0301", "ﷺ", "()")


@pytest.mark.parametrize("splitting", SPLITTINGS)
@pytest.mark.timeout(300)
async def test_texts_that_overflow_tokenizers_leave_the_engine_alive(splitting: str, files: Path, root: Path) -> None:
    path = rewrite(DEMO_MODEL_PATH, files / f"{splitting}.gguf", keys={"tokenizer.ggml.pre": set_to(splitting)})
    async with engine_of(replace(LLAMA, path=str(path), n_ctx=8192), root) as engine:
        await engine.start()
        for piece in SAME:
            # As much as may be asked at all: sixteen bytes for each token of the context.
            text = piece * (16 * 8000 // len(piece.encode()))
            async with asyncio.timeout(60):
                with suppress(Invalid):  # too long for the context, where each piece is a token
                    await text_of(engine, work(text, max_tokens=1))
        assert engine.restarts == 0
        assert await text_of(engine, work("Hello"))


@pytest.mark.parametrize("changes", [{"n_ctx": 1}, {"n_batch": 32, "n_ctx": 256}, {"slots": 256}, {"threads": 256}])
async def test_the_extremes_of_the_settings_serve(changes: dict[str, int], root: Path) -> None:
    async with engine_of(replace(LLAMA, **changes), root) as engine, asyncio.timeout(60):
        assert await text_of(engine, work("Hello", max_tokens=8))
