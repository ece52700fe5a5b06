"""Completions by a real model, at every door, in both isolations: echo, best of several, token ids, gaps, endings."""

from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door
from tests.engine.gguf_files import write_infill

PROMPT = "The capital of France is"


@pytest.fixture(scope="session")
def gapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model with marks for a gap in its vocabulary."""
    return write_infill(DEMO_MODEL_PATH, tmp_path_factory.mktemp("models") / "gapped.gguf")


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, gapped: Path) -> dict[str, Any]:
    engine = {"isolation": request.param, "threads": 1, "n_ctx": 512, "slots": 4}
    return {"data_dir": tmp_path / "data", "models": {"gapped": str(gapped)}, "demo": False, "engine": engine}


def ask(prompt: Any = PROMPT, **more: Any) -> dict[str, Any]:
    return {"model": "gapped", "prompt": prompt, "temperature": 0, "max_tokens": 12, **more}


async def test_what_completions_may_ask_for_holds_with_a_real_model(door: Door) -> None:
    token = await token_for(door, "gapped")

    async def complete(*prompt: Any, **more: Any) -> Any:
        answer = await door.complete(ask(*prompt, **more), token)
        assert answer.status == 200, answer.body
        return answer.body

    plain = await complete()
    said = plain["choices"][0]["text"]
    assert said

    # An echo with log probabilities begins with those of the prompt, but for its first token.
    echoed = (await complete(echo=True, logprobs=2))["choices"][0]
    assert echoed["text"] == PROMPT + said
    assert "".join(echoed["logprobs"]["tokens"]) == PROMPT + said
    first, *others = echoed["logprobs"]["token_logprobs"]
    assert first is None
    assert all(value <= 0 for value in others)
    assert all(2 <= len(top) <= 3 for top in echoed["logprobs"]["top_logprobs"][1:])
    assert echoed["logprobs"]["text_offset"] == sorted(echoed["logprobs"]["text_offset"])
    chunks = await door.stream_completion(ask(echo=True, logprobs=2), token)
    streamed = [chunk["choices"][0] for chunk in chunks]
    assert "".join(choice["text"] for choice in streamed) == PROMPT + said
    pieces = [piece for choice in streamed if choice["logprobs"] for piece in choice["logprobs"]["tokens"]]
    assert pieces == echoed["logprobs"]["tokens"]

    # A long prompt's are streamed in pieces, so that no reader is held up by them.
    long = ((await door.ask("tokenize", {"model": "gapped", "prompt": PROMPT}, token)).body["tokens"] * 50)[:400]
    echoed = (await complete(long, echo=True, logprobs=1, max_tokens=2))["choices"][0]
    chunks = await door.stream_completion(ask(long, echo=True, logprobs=1, max_tokens=2), token)
    scored = [chunk["choices"][0]["logprobs"] for chunk in chunks if chunk["choices"][0]["logprobs"]]
    assert max(len(one["tokens"]) for one in scored) < len(long)
    for field in ("tokens", "text_offset"):
        assert [value for one in scored for value in one[field]] == echoed["logprobs"][field]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == echoed["text"]

    # The best of several are the likeliest, and all that were written count.
    best = await complete(n=2, best_of=4, logprobs=0, temperature=1.5, seed=5)
    chances = [choice["logprobs"]["token_logprobs"] for choice in best["choices"]]
    means = [sum(values) / len(values) for values in chances]
    assert len(means) == 2
    assert means == sorted(means, reverse=True)
    assert best["usage"]["completion_tokens"] > sum(map(len, chances))

    # Token ids say what their text says.
    ids = (await door.ask("tokenize", {"model": "gapped", "prompt": PROMPT}, token)).body["tokens"]
    assert (await complete(ids))["choices"][0]["text"] == said
    both = (await complete([ids, ids]))["choices"]
    assert [(choice["index"], choice["text"]) for choice in both] == [(0, said), (1, said)]
    assert (await complete(ids, echo=True))["choices"][0]["text"] == PROMPT + said

    # A gap is filled, whole and streamed.
    filled = (await complete("What is ", suffix=" of France?"))["choices"][0]["text"]
    gap = await door.stream_completion(ask("What is ", suffix=" of France?"), token)
    assert "".join(chunk["choices"][0]["text"] for chunk in gap) == filled


async def test_answers_end_where_they_are_told_to(door: Door) -> None:
    token = await token_for(door, "gapped")
    question = {"model": "gapped", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    question |= {"temperature": 0}
    answer = await door.chat(question, token)
    said, wrote = answer.text, answer.body["usage"]["completion_tokens"]
    assert answer.body["choices"][0]["finish_reason"] == "stop"
    last = (await door.ask("tokenize", {"model": "gapped", "prompt": said}, token)).body["tokens"][-1]

    longer = await door.chat({**question, "min_tokens": wrote + 9, "max_tokens": wrote + 9}, token)
    assert longer.body["usage"]["completion_tokens"] == wrote + 9
    assert longer.body["choices"][0]["finish_reason"] == "length"
    assert longer.text.startswith(said)
    endless = await door.chat({**question, "ignore_eos": True, "max_tokens": wrote + 30}, token)
    assert endless.body["usage"]["completion_tokens"] == wrote + 30

    for more in ({"stop_token_ids": [last]}, {"stop": [said[-1]]}):
        shorter = await door.chat({**question, **more}, token)
        assert shorter.body["choices"][0]["finish_reason"] == "stop"
        assert len(shorter.text) < len(said)
        assert said.startswith(shorter.text)
        chunks = await door.stream({**question, **more}, token)
        assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == shorter.text
    # Until so many tokens are written, a stop token is not drawn and a stop string is only text.
    late = await door.chat({**question, "stop": [said[0]], "min_tokens": 3}, token)
    assert late.text.startswith(said[:2])
