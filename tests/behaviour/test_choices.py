"""Several answers to one request, at every door."""

from typing import Any

from tests.behaviour.doors import Door


def ask(content: str, **extra: Any) -> dict[str, Any]:
    return {"model": "parrot", "messages": [{"role": "user", "content": content}], **extra}


async def test_n_answers_come_in_order_and_the_prompt_is_counted_once(door: Door, token: str) -> None:
    one = await door.chat(ask("good morning"), token)
    three = await door.chat(ask("good morning", n=3), token)

    assert three.status == 200
    assert [choice["index"] for choice in three.body["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in three.body["choices"]} == {"good morning"}
    assert {choice["finish_reason"] for choice in three.body["choices"]} == {"stop"}
    assert three.body["usage"]["prompt_tokens"] == one.body["usage"]["prompt_tokens"]
    assert three.body["usage"]["completion_tokens"] == 3 * one.body["usage"]["completion_tokens"]


async def test_n_answers_stream_side_by_side(door: Door, token: str) -> None:
    chunks = await door.stream(ask("one two three", n=3, stream_options={"include_usage": True}), token)

    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    for index in range(3):
        own = [choice for choice in choices if choice["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert "".join(choice["delta"].get("content") or "" for choice in own) == "one two three"
        assert [choice["finish_reason"] for choice in own if choice["finish_reason"]] == ["stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 9
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
