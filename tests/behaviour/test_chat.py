"""What chat does at every door."""

from typing import Any

import pytest

from tests.behaviour.doors import Door


def ask(content: str, **extra: Any) -> dict[str, Any]:
    return {"model": "parrot", "messages": [{"role": "user", "content": content}], **extra}


async def test_a_granted_token_gets_an_answer_in_the_openai_shape(door: Door, token: str) -> None:
    answer = await door.chat(ask("good morning"), token)

    assert answer.status == 200
    assert answer.body["object"] == "chat.completion"
    assert answer.body["id"].startswith("chatcmpl-")
    assert answer.body["model"] == "parrot"
    assert answer.body["choices"][0]["finish_reason"] == "stop"
    assert "good morning" in answer.text
    usage = answer.body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


async def test_a_stream_says_the_same_as_a_whole_answer(door: Door, token: str) -> None:
    whole = await door.chat(ask("one two three four"), token)
    chunks = await door.stream(ask("one two three four"), token)

    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == whole.text
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"][0]["finish_reason"]] == ["stop"]
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)


async def test_usage_comes_last_in_a_stream_that_asks_for_it(door: Door, token: str) -> None:
    chunks = await door.stream(ask("a b c", stream_options={"include_usage": True}), token)

    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert all(chunk.get("usage") is None for chunk in chunks[:-1])


async def test_max_tokens_ends_an_answer_with_length(door: Door, token: str) -> None:
    answer = await door.chat(ask("one two three four five six", max_tokens=2), token)

    assert answer.body["choices"][0]["finish_reason"] == "length"
    assert answer.body["usage"]["completion_tokens"] == 2


async def test_a_stop_string_ends_an_answer_and_is_not_part_of_it(door: Door, token: str) -> None:
    answer = await door.chat(ask("alpha beta gamma", stop=["gamma"]), token)

    assert "alpha beta" in answer.text
    assert "gamma" not in answer.text
    assert answer.body["choices"][0]["finish_reason"] == "stop"


async def test_an_answer_goes_on_until_min_tokens_whatever_would_end_it(door: Door, token: str) -> None:
    longer = await door.chat(ask("alpha beta", min_tokens=5, stop=["beta"]), token)
    assert longer.text == "alpha beta" + "alpha beta" + "alpha"
    assert longer.body["usage"]["completion_tokens"] >= 5

    endless = await door.chat(ask("alpha beta", ignore_eos=True, max_tokens=7), token)
    assert endless.body["choices"][0]["finish_reason"] == "length"
    assert endless.body["usage"]["completion_tokens"] == 7


EVERY_OPTION = {
    "temperature": 1.1,
    "top_p": 0.9,
    "top_k": 50,
    "min_p": 0.02,
    "typical_p": 0.97,
    "repeat_penalty": 1.05,
    "repetition_penalty": 1.05,
    "repeat_last_n": 32,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "seed": 3,
    "mirostat": 0,
    "mirostat_tau": 5,
    "mirostat_eta": 0.1,
    "dry_multiplier": 0.8,
    "dry_base": 1.75,
    "dry_allowed_length": 2,
    "dry_penalty_last_n": -1,
    "dry_sequence_breakers": ["\n", ":"],
    "xtc_probability": 0.1,
    "xtc_threshold": 0.1,
    "top_n_sigma": 1.5,
    "dynatemp_range": 0.2,
    "dynatemp_exponent": 1,
    "stop_token_ids": [1],
}


async def test_every_option_of_sampling_is_taken(door: Door, token: str) -> None:
    assert (await door.chat(ask("good morning", **EVERY_OPTION), token)).status == 200
    mirostat = {"mirostat": 2, "top_k": 0, "top_p": 1, "min_p": 0, "top_n_sigma": -1, "xtc_probability": 0}
    assert (await door.chat(ask("good morning", **mirostat), token)).status == 200


async def test_text_parts_are_read_like_a_string(door: Door, token: str) -> None:
    body = ask("")
    body["messages"][0]["content"] = [{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]

    assert "in parts" in (await door.chat(body, token)).text


IMAGE = {"role": "user", "content": [{"type": "image_url"}]}

REFUSED: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("no model", {"model": None}, 400, "model", "required"),
    ("an empty model", {"model": ""}, 400, "model", "at least 1"),
    ("a model that is a number", {"model": 3}, 400, "model", "string"),
    ("no messages", {"messages": None}, 400, "messages", "required"),
    ("an empty conversation", {"messages": []}, 400, "messages", "at least 1"),
    ("an unknown role", {"messages": [{"role": "wizard", "content": "x"}]}, 400, "messages.0.role", "'system'"),
    ("a message without content", {"messages": [{"role": "user"}]}, 400, "messages.0.content", "required"),
    (
        "an image without its place",
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        400,
        "messages.0.content.0.image_url",
        "required",
    ),
    (
        "a piece of sound",
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        400,
        "messages.0.content",
        "'text'",
    ),
    ("a negative max_tokens", {"max_tokens": -1}, 400, "max_tokens", "greater than or equal to 1"),
    ("a huge max_tokens", {"max_tokens": 10**15}, 400, "max_tokens", "context"),
    ("an integer beyond 64 bits", {"seed": 2**70}, 400, "", ""),
    ("a temperature out of range", {"temperature": 2.5}, 400, "temperature", "less than or equal to 2"),
    ("a temperature in words", {"temperature": "hot"}, 400, "temperature", "number"),
    ("too many stop strings", {"stop": ["x"] * 17}, 400, "stop", "at most 16"),
    ("an empty stop string", {"stop": [""]}, 400, "stop.0", "from 1 to 256"),
    ("a logit bias for a word", {"logit_bias": {"cat": 1}}, 400, "logit_bias", "token ids"),
    ("a logit bias out of range", {"logit_bias": {"1": 101}}, 400, "logit_bias.1", "100"),
    ("mirostat beside top_p", {"mirostat": 2, "top_p": 0.9}, 400, "top_p", "mirostat"),
    ("mirostat without drawing", {"mirostat": 1, "temperature": 0}, 400, "mirostat", "temperature"),
    ("a third mirostat", {"mirostat": 3}, 400, "mirostat", "less than or equal to 2"),
    ("a range around nothing", {"dynatemp_range": 0.5, "temperature": 0}, 400, "dynatemp_range", "temperature"),
    ("a dry base below one", {"dry_base": 0.5}, 400, "dry_base", "greater than or equal to 1"),
    ("an empty breaker", {"dry_sequence_breakers": [""]}, 400, "dry_sequence_breakers.0", "at least 1"),
    ("too many breakers", {"dry_sequence_breakers": ["x"] * 17}, 400, "dry_sequence_breakers", "at most 16"),
    ("more tokens than wanted", {"min_tokens": 3, "max_tokens": 2}, 400, "min_tokens", "no more than 2"),
    ("a negative stop token", {"stop_token_ids": [-1]}, 400, "stop_token_ids.0", "greater than or equal to 0"),
    ("too many stop tokens", {"stop_token_ids": [1] * 65}, 400, "stop_token_ids", "at most 64"),
    ("two names, two penalties", {"repeat_penalty": 1.1, "repetition_penalty": 1.2}, 400, "repetition_penalty", "same"),
    ("no choice", {"n": 0}, 400, "n", "greater than or equal to 1"),
    ("nine choices", {"n": 9}, 400, "n", "at most 8"),
    ("tools", {"tools": [{"type": "function"}]}, 400, "tools.0.function", "required"),
    ("a constraint", {"response_format": {"type": "json_object"}}, 400, "response_format", "cannot be enforced"),
    ("an unknown parameter", {"api_base": "http://evil.example"}, 400, "api_base", "not a parameter"),
    ("stream options without stream", {"stream_options": {"include_usage": True}}, 400, "stream_options", "stream"),
]


@pytest.mark.parametrize(
    ("change", "status", "param", "says"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
async def test_a_wrong_request_is_refused_by_the_name_of_the_field(
    door: Door, token: str, change: dict[str, Any], status: int, param: str, says: str
) -> None:
    answer = await door.chat({**ask("hello"), **change}, token)

    assert answer.status == status
    assert (answer.error["param"] or "").startswith(param)
    assert says in answer.error["message"]
    assert answer.error["type"] == "invalid_request_error"
    assert (await door.chat(ask("still alive"), token)).status == 200


async def test_a_prompt_that_does_not_fit_is_refused_with_both_lengths(door: Door, token: str) -> None:
    answer = await door.chat(ask("word " * 600), token)

    assert answer.status == 400
    assert answer.error["code"] == "context_length_exceeded"
    assert "256" in answer.error["message"]


async def test_thirty_thousand_repeated_letters_are_refused(door: Door, token: str) -> None:
    answer = await door.chat(ask("a" * 30_000), token)

    assert answer.status == 400
    assert answer.error["code"] == "context_length_exceeded"
    assert (await door.chat(ask("still alive"), token)).status == 200
