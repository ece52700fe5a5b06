"""The shipped file is the network that was trained: same tokens, same logits, and it answers."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from demo_model.conversation import TEMPLATE, segments
from demo_model.generate import TASKS, conversations, instances

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text("utf-8"))
TOLERANCE = 0.05
"""Q8_0 arithmetic rounds the activations too, which torch's reference does not."""


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


def test_the_same_seed_makes_the_same_conversations_and_another_one_others() -> None:
    def made(seed: int) -> list[Any]:
        return [segments(conversation) for conversation in islice(conversations(seed), 50)]

    assert made(1) == made(1)
    assert made(1) != made(2)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_evaluated_is_never_trained_on(task: str) -> None:
    asked = {json.dumps(c.messages[-2]) for c in instances(task, 30) if c.messages[-2]["role"] == "user"}
    trained = {json.dumps(m) for c in islice(conversations(3), 3000) for m in c.messages if m["role"] == "user"}
    # A name alone, as in a follow-up question, may well come up in both.
    assert len(asked & trained) <= len(asked) // 4
