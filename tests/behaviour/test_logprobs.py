"""Log probabilities at every door."""

from typing import Any

from tests.behaviour.doors import Door


def ask(content: str, **extra: Any) -> dict[str, Any]:
    return {"model": "parrot", "messages": [{"role": "user", "content": content}], **extra}


async def test_a_whole_answer_has_the_log_probability_of_each_token(door: Door, token: str) -> None:
    answer = await door.chat(ask("good morning", logprobs=True, top_logprobs=2), token)

    content = answer.body["choices"][0]["logprobs"]["content"]
    assert "".join(one["token"] for one in content) == "good morning"
    assert bytes(byte for one in content for byte in one["bytes"]).decode() == "good morning"
    for one in content:
        assert one["logprob"] <= 0
        assert one["top_logprobs"][0]["token"] == one["token"]
    assert (await door.chat(ask("good morning"), token)).body["choices"][0]["logprobs"] is None


async def test_a_chunk_has_those_of_the_tokens_whose_text_it_brings(door: Door, token: str) -> None:
    chunks = await door.stream(ask("one two three four", logprobs=True, stop=["three"]), token)

    choices = [chunk["choices"][0] for chunk in chunks]
    brought = [choice for choice in choices if choice["logprobs"]]
    assert brought
    for choice in brought:
        assert "".join(one["token"] for one in choice["logprobs"]["content"]).startswith(choice["delta"]["content"])
        assert all(one["top_logprobs"] == [] for one in choice["logprobs"]["content"])
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "one two "
