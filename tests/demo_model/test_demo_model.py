"""The shipped file is the network that was trained: same tokens, same logits, and it answers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from demo_model.conversation import TEMPLATE

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text("utf-8"))
TOLERANCE = 0.05
"""Q8_0 arithmetic rounds the activations too, which torch's reference does not."""

PAGE = Path(__file__).parents[2] / "docs" / "demo-model.md"
SHOWN = re.findall(r"^- \*\*(.+?)\*\* (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    loaded = llama_cpp.Llama(
        str(DEMO_MODEL_PATH), n_ctx=512, n_threads=1, type_k=0, type_v=0, logits_all=False, verbose=False
    )
    yield loaded
    loaded.close()


def test_it_is_small_and_says_what_it_is(model: Any) -> None:
    assert DEMO_MODEL_PATH.stat().st_size < 6_000_000
    assert model.metadata["general.name"] == "bodhi demo"
    assert model.metadata["general.license"] == "MIT"
    assert model.metadata["tokenizer.chat_template"] == TEMPLATE


def test_llama_cpp_reads_texts_as_the_tokenizer_did(model: Any) -> None:
    for text, tokens in RECORDED["texts"]:
        assert model.tokenize(text.encode(), add_bos=False, special=True) == tokens


@pytest.mark.parametrize("prompt", RECORDED["prompts"], ids=lambda prompt: prompt["task"])
def test_llama_cpp_computes_what_the_training_framework_did(model: Any, prompt: dict[str, Any]) -> None:
    model.reset()
    model.eval(prompt["tokens"])
    logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits(model.ctx), shape=(model.n_vocab(),))
    best, _ = prompt["top"][0]
    assert int(logits.argmax()) == best
    scale = max(abs(value) for _, value in prompt["top"])
    for token, value in prompt["top"]:
        assert abs(float(logits[token]) - value) <= TOLERANCE * scale


@pytest.mark.parametrize(("question", "expected"), SHOWN)
def test_it_says_what_its_page_shows(model: Any, question: str, expected: str) -> None:
    reply = model.create_chat_completion([{"role": "user", "content": question}], temperature=0.0, max_tokens=100)
    assert reply["choices"][0]["message"]["content"] == expected
