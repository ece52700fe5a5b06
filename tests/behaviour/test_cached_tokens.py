"""What of a prompt did not have to be computed again is told at every door, streamed or not, and counted."""

from typing import Any

from tests.behaviour.doors import Door

BEGINNING = " ".join(f"word{number}" for number in range(40))


def ask(content: str, **extra: Any) -> dict[str, Any]:
    return {"model": "parrot", "messages": [{"role": "user", "content": content}], "max_tokens": 2, **extra}


async def test_a_prompt_that_begins_as_another_did_says_how_much_of_it_was_there(door: Door, token: str) -> None:
    first = await door.chat(ask(f"{BEGINNING} one"), token)
    second = await door.chat(ask(f"{BEGINNING} two"), token)
    chunks = await door.stream(ask(f"{BEGINNING} three", stream_options={"include_usage": True}), token)

    assert first.body["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
    for usage in (second.body["usage"], chunks[-1]["usage"]):
        assert 40 <= usage["prompt_tokens_details"]["cached_tokens"] < usage["prompt_tokens"]


async def test_answers_to_one_prompt_compute_it_once_and_count_it_once(door: Door, token: str) -> None:
    await door.chat(ask(f"{BEGINNING} four"), token)
    answer = await door.chat(ask(f"{BEGINNING} five", n=3), token)

    usage = answer.body["usage"]
    assert 40 <= usage["prompt_tokens_details"]["cached_tokens"] < usage["prompt_tokens"]
