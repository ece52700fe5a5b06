"""What is missing in the middle of a text: asked for with the model's own marks, refused where it has none."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.errors import PromptInvalid
from bodhi_asgi.engine.runners.llama import LlamaRunner
from bodhi_asgi.messages.conversation import InfillPrompt, TextPrompt
from tests.engine.gguf_files import INFILL, write_infill
from tests.engine.support import LLAMA, deltas_of, text_of, work

PROMPT = InfillPrompt("def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_infill(DEMO_MODEL_PATH, tmp_path_factory.mktemp("model") / "infill.gguf")


def infill(prompt: InfillPrompt) -> Any:
    asked = work("", max_tokens=6)
    return replace(asked, request=replace(asked.request, prompt=prompt))


def test_prefix_and_suffix_stand_behind_their_marks(model: Path) -> None:
    runner = LlamaRunner(replace(LLAMA, path=str(model)))
    runner.load(lambda _: True)
    vocabulary = runner.vocabulary
    before, after, middle = INFILL.values()
    bare = [vocabulary.encode(TextPrompt(text)) for text in (PROMPT.prefix, PROMPT.suffix)]
    begin = [bare[0][0]] if bare[0][0] == bare[1][0] else []
    prefix, suffix = (tokens[len(begin) :] for tokens in bare)
    assert vocabulary.encode(PROMPT) == [*begin, before, *prefix, after, *suffix, middle]
    assert vocabulary.encode(InfillPrompt("", "")) == [*begin, before, after, middle]
    marked = vocabulary.encode(InfillPrompt("<|im_end|>", ""))
    assert not vocabulary.end_tokens & set(marked), "text of people is text"
    runner.unload()


@pytest.fixture(params=["thread", "process"])
async def engine(request: pytest.FixtureRequest, model: Path, short_folder: Path) -> AsyncIterator[Any]:
    spec, process = replace(LLAMA, path=str(model)), request.param == "process"
    made: Any = ProcessEngine(spec, runtime_dir=short_folder / "r", linger_s=0.0) if process else ThreadEngine(spec)
    await made.start()
    yield made
    await made.aclose(**({"terminate": True} if process else {}))


async def test_a_gap_is_filled(engine: Any) -> None:
    deltas = await deltas_of(engine, infill(PROMPT))
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.prompt_tokens > 3


async def test_a_model_without_the_marks_refuses_the_suffix() -> None:
    engine = ThreadEngine(LLAMA)
    await engine.start()
    with pytest.raises(PromptInvalid, match="cannot fill in") as refused:
        await text_of(engine, infill(PROMPT))
    assert refused.value.param == "suffix"
    assert await text_of(engine, work("What is bodhi_asgi?"))
    await engine.aclose()
