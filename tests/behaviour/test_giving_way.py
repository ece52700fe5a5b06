"""Who had to give way goes on as if nothing had been, at every door and in both isolations: form, thoughts, endings,
log probabilities and seeds.

Alone an answer fits into the context; together they do not, so that some are taken out of their cells in the middle
and computed again. In full precision that changes nothing: what is rounded elsewhere depends on who else is in a step.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Answer, Door
from tests.behaviour.test_conversations import gathered
from tests.engine.gguf_files import rewrite, write_full_precision

AT_ONCE = 3
CONTEXT = 256
EXACT = {"cache_type_k": "f32", "cache_type_v": "f32", "flash_attention": "off"}


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model in full precision, with a template that opens its thoughts for it."""

    def opened(template: str) -> str:
        return template.replace("<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<think>\n{% endif %}")

    folder = tmp_path_factory.mktemp("models")
    exact = write_full_precision(DEMO_MODEL_PATH, folder / "exact.gguf")
    return rewrite(exact, folder / "thinker.gguf", keys={"tokenizer.chat_template": opened})


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, thinker: Path) -> dict[str, Any]:
    return {
        "data_dir": tmp_path / "data",
        "demo": False,
        "models": {"tight": {"path": str(thinker), "n_ctx": CONTEXT, "slots": 2 * AT_ONCE, **EXACT}},
        "engine": {"isolation": request.param, "threads": 1, "linger_s": 0},
    }


def ask(number: int) -> dict[str, Any]:
    """Long answers of a form after thoughts; every other one is drawn, and each ends before its form does."""
    drawn = {"temperature": 1.5, "top_k": 2, "seed": number} if number % 2 else {"temperature": 0}
    return {
        "model": "tight",
        "messages": [{"role": "user", "content": f"Count to {number + 20}"}],
        "thinking_budget_tokens": 5 + number,
        "guided_regex": "[0-9]{40}(ab|cd)[0-9]",
        "stop": ["ab", "cd"],
        "logprobs": True,
        "top_logprobs": 2,
        "n": 1 + number % 2,
        "max_tokens": 90,
        **drawn,
    }


def told(answer: Answer) -> list[Any]:
    """All of an answer but the values of its probabilities, which computing in company moves by their last digits."""
    assert answer.status == 200, answer.body
    return [
        (
            choice["message"]["content"],
            choice["message"]["reasoning_content"],
            choice["finish_reason"],
            [one["token"] for one in choice["logprobs"]["content"]],
        )
        for choice in answer.body["choices"]
    ]


def chances(answer: Answer) -> list[float]:
    return [one["logprob"] for choice in answer.body["choices"] for one in choice["logprobs"]["content"]]


async def preemptions(door: Door) -> int:
    (stats,) = (await door.app.server.services.engines.stats()).values()
    return stats.preemptions


async def test_an_answer_that_had_to_give_way_is_the_one_it_would_have_been_alone(door: Door) -> None:
    token = await token_for(door, "tight")
    alone = [await door.chat(ask(number), token) for number in range(AT_ONCE)]
    before = await preemptions(door)
    async with asyncio.timeout(100):
        while await preemptions(door) == before:  # unless one had ended before the next one came
            *together, chunks = await asyncio.gather(
                *(door.chat(ask(number), token) for number in range(AT_ONCE)), door.stream(ask(0), token)
            )
            assert gathered(chunks)["content"] == alone[0].text
            for one, other in zip(alone, together, strict=True):
                is_the_same(one, other)


def is_the_same(one: Answer, other: Answer) -> None:
    assert told(one) == told(other)
    assert chances(other) == pytest.approx(chances(one), abs=1e-3)
    usages = [answer.body["usage"] for answer in (one, other)]
    for field in ("completion_tokens", "completion_tokens_details"):
        assert usages[0][field] == usages[1][field]
    for choice in other.body["choices"]:
        assert choice["message"]["content"].isdigit()
        assert len(choice["message"]["content"]) == 40
        assert choice["finish_reason"] == "stop"
