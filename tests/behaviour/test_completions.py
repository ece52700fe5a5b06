"""Completions of bare text, at every door."""

from typing import Any

import pytest

from tests.behaviour.doors import Door


def ask(prompt: Any = "good morning", **extra: Any) -> dict[str, Any]:
    return {"model": "parrot", "prompt": prompt, **extra}


async def test_a_text_is_continued_in_the_openai_shape(door: Door, token: str) -> None:
    answer = await door.complete(ask(), token)

    assert answer.status == 200
    assert answer.body["object"] == "text_completion"
    assert answer.body["id"].startswith("cmpl-")
    assert answer.body["choices"] == [{"text": "good morning", "index": 0, "finish_reason": "stop", "logprobs": None}]
    assert answer.body["usage"]["completion_tokens"] == 2


async def test_a_stream_says_the_same_as_a_whole_answer(door: Door, token: str) -> None:
    chunks = await door.stream_completion(ask("one two three", stream_options={"include_usage": True}), token)

    assert "".join(chunk["choices"][0]["text"] for chunk in chunks if chunk["choices"]) == "one two three"
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}


async def test_sixteen_tokens_are_enough_unless_more_are_asked_for(door: Door, token: str) -> None:
    text = " ".join(str(number) for number in range(40))
    short = await door.complete(ask(text), token)
    assert short.body["usage"]["completion_tokens"] == 16
    assert short.body["choices"][0]["finish_reason"] == "length"
    assert (await door.complete(ask(text, max_tokens=30), token)).body["usage"]["completion_tokens"] == 30


async def test_several_prompts_are_answered_in_their_order(door: Door, token: str) -> None:
    answer = await door.complete(ask(["one two", "three"], n=2), token)

    assert [choice["text"] for choice in answer.body["choices"]] == ["one two", "one two", "three", "three"]
    assert [choice["index"] for choice in answer.body["choices"]] == [0, 1, 2, 3]
    prompts = [(await door.complete(ask(text), token)).body["usage"]["prompt_tokens"] for text in ("one two", "three")]
    assert answer.body["usage"]["prompt_tokens"] == sum(prompts), "each prompt counts once"


async def test_the_best_of_several_are_given(door: Door, token: str) -> None:
    answer = await door.complete(ask(n=1, best_of=4), token)

    assert [choice["text"] for choice in answer.body["choices"]] == ["good morning"]
    assert answer.body["choices"][0]["logprobs"] is None
    assert answer.body["usage"]["completion_tokens"] == 8, "all that were written count"


async def test_log_probabilities_come_in_lists_with_offsets(door: Door, token: str) -> None:
    logprobs = (await door.complete(ask(logprobs=2), token)).body["choices"][0]["logprobs"]

    assert "".join(logprobs["tokens"]) == "good morning"
    assert logprobs["text_offset"] == [0, len(logprobs["tokens"][0])]
    assert logprobs["token_logprobs"] == [0.0, 0.0]
    assert logprobs["top_logprobs"] == [{text: 0.0} for text in logprobs["tokens"]]

    chunks = await door.stream_completion(ask("one two three", logprobs=0), token)
    offsets = [place for c in chunks if (found := c["choices"][0]["logprobs"]) for place in found["text_offset"]]
    assert offsets == [0, 3, 7]


async def test_an_echo_puts_the_prompt_first_with_its_log_probabilities(door: Door, token: str) -> None:
    plain = await door.complete(ask(echo=True), token)
    assert plain.body["choices"][0]["text"] == "good morning" * 2

    choice = (await door.complete(ask(echo=True, logprobs=1), token)).body["choices"][0]
    assert choice["text"] == "good morning" * 2
    assert "".join(choice["logprobs"]["tokens"]) == choice["text"]
    assert choice["logprobs"]["token_logprobs"][0] is None
    assert choice["logprobs"]["top_logprobs"][0] is None
    assert all(value is not None for value in choice["logprobs"]["token_logprobs"][1:])

    only = await door.complete(ask(echo=True, logprobs=1, max_tokens=0), token)
    assert only.body["choices"][0]["text"] == "good morning"
    assert only.body["usage"]["completion_tokens"] == 0

    chunks = await door.stream_completion(ask(echo=True), token)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "good morning" * 2


async def test_a_prompt_may_be_tokens(door: Door, token: str) -> None:
    said = await door.complete(ask("hello there"), token)
    count = said.body["usage"]["prompt_tokens"]
    answer = await door.complete(ask([1, 3, 4, 2], echo=True), token)
    assert answer.status == 200
    assert answer.body["usage"]["prompt_tokens"] == count
    assert len(answer.body["choices"][0]["text"]) > 0
    assert (await door.complete(ask([[1, 3, 2], [1, 4, 2]]), token)).status == 200


async def test_a_gap_is_filled_where_the_model_can(door: Door, token: str) -> None:
    answer = await door.complete(ask("before", suffix=" after"), token)
    assert answer.status == 200
    assert answer.body["choices"][0]["text"] == "before after"


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("no prompt", {"prompt": None}, "prompt", "required"),
    ("an empty prompt", {"prompt": ""}, "prompt", "at least 1"),
    ("no prompts", {"prompt": []}, "prompt", "at least 1"),
    ("too many prompts", {"prompt": ["x"] * 17}, "prompt", "at most 16"),
    ("too many answers", {"prompt": ["x"] * 5, "n": 4}, "n", "at most 16"),
    ("a token that is none", {"prompt": [1, 10**8]}, "prompt", "no token"),
    ("a negative token", {"prompt": [-1]}, "prompt.0", "greater than or equal to 0"),
    ("six alternatives", {"logprobs": 6}, "logprobs", "less than or equal to 5"),
    ("true for a number", {"logprobs": True}, "logprobs", "integer"),
    ("fewer than wanted", {"n": 3, "best_of": 2}, "best_of", "'n' wants 3"),
    ("the best in a stream", {"best_of": 2, "stream": True}, "best_of", "stream"),
    ("nothing at all", {"max_tokens": 0}, "max_tokens", "echo"),
    ("a suffix to tokens", {"prompt": [1, 2], "suffix": "x"}, "suffix", "tokens"),
    ("a suffix to an echo", {"suffix": "x", "echo": True}, "suffix", "echo"),
    ("an unknown parameter", {"messages": []}, "messages", "not a parameter"),
    ("stream options without stream", {"stream_options": {"include_usage": True}}, "stream_options", "stream"),
]


@pytest.mark.parametrize(("change", "param", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_wrong_request_is_refused_by_the_name_of_the_field(
    door: Door, token: str, change: dict[str, Any], param: str, says: str
) -> None:
    answer = await door.complete({**ask(), **change}, token)

    assert answer.status == 400
    assert (answer.error["param"] or "").startswith(param)
    assert says in answer.error["message"]
    assert (await door.complete(ask("still alive"), token)).status == 200


async def test_only_granted_models_complete(door: Door, token: str) -> None:
    assert (await door.complete(ask(model="secret"), token)).status in (403, 404)
    assert (await door.complete(ask(), None)).status == 401
