"""What an alias says fills what a request leaves open, and contradicts nothing that was asked."""

from dataclasses import replace
from typing import Any

import pytest

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.openai_chat.decode import decode
from bodhi_asgi.formats.openai_completions.decode import decode as decode_completion
from bodhi_asgi.messages.conversation import IMAGE_MARK, ChatPrompt, Message, Role, TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest, Sampling
from bodhi_asgi.messages.reading import EmbedRequest, TokenizeRequest
from bodhi_asgi.models.params import NONE, Defaults, RequestParams, defaults_of
from bodhi_asgi.validation import validated
from bodhi_asgi.wire.limits import RequestLimits

LIMITS = RequestLimits()
HELLO = [{"role": "user", "content": "hello"}]


def defaults(**params: Any) -> Defaults:
    keep_alive_s = params.pop("keep_alive_s", None)
    return defaults_of(validated(RequestParams, params), LIMITS, keep_alive_s)


def chat(**fields: Any) -> GenerateRequest:
    return decode({"model": "m", "messages": HELLO, **fields}, LIMITS).request


ALL: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.25,
    "seed": 7,
    "frequency_penalty": -1.0,
    "presence_penalty": 1.5,
    "max_tokens": 11,
    "stop": ["END", "."],
    "top_k": 3,
    "min_p": 0.1,
    "repeat_penalty": 1.1,
    "min_tokens": 2,
    "ignore_eos": True,
    "stop_token_ids": [5],
    "logit_bias": {"9": -1.0},
    "dry_sequence_breakers": ["\n"],
}


def test_what_a_request_leaves_open_is_filled() -> None:
    asked = chat()
    assert defaults(**ALL).generation(asked) == replace(chat(**ALL), prompt=asked.prompt)


def test_what_a_request_says_stays() -> None:
    said = {
        "temperature": 1.0,
        "top_p": 1.0,
        "seed": 0,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "max_tokens": 5,
        "stop": "x",
        "top_k": 0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "min_tokens": 1,
        "ignore_eos": True,
        "stop_token_ids": [1],
        "logit_bias": {"1": 1.0},
        "dry_sequence_breakers": ["x"],
    }
    assert defaults(**ALL).generation(chat(**said)) == chat(**said)
    assert defaults(max_tokens=9).generation(chat(max_completion_tokens=4)).max_tokens == 4


def test_an_alias_that_says_nothing_changes_nothing() -> None:
    asked = chat()
    assert NONE.generation(asked) is asked
    assert defaults() == NONE


def test_the_usual_length_of_a_completion_gives_way_to_the_aliases() -> None:
    usual = decode_completion({"model": "m", "prompt": "x"}, LIMITS).requests[0]
    said = decode_completion({"model": "m", "prompt": "x", "max_tokens": 16}, LIMITS).requests[0]
    assert defaults(max_tokens=40).generation(usual).max_tokens == 40
    assert defaults(max_tokens=40).generation(said).max_tokens == 16
    assert defaults(temperature=0).generation(usual).max_tokens == 16
    # Neither the engine nor an answer's log is to see the mark.
    assert NONE.generation(usual) == replace(usual, assumed=())


def test_a_shortest_length_is_never_longer_than_the_longest() -> None:
    assert defaults(min_tokens=20).generation(chat(max_tokens=5)).min_tokens == 5
    assert defaults(max_tokens=3).generation(chat(min_tokens=8)).max_tokens == 8


@pytest.mark.parametrize(
    ("own", "asked", "kept"),
    [
        ({"top_k": 4, "top_p": 0.5}, {"mirostat": 2}, {"mirostat": 2}),
        ({"mirostat": 2, "mirostat_tau": 3}, {"top_k": 4}, {"top_k": 4}),
        ({"mirostat": 2}, {"top_k": 0}, {"mirostat": 2, "top_k": 0}),
        ({"mirostat": 2, "mirostat_eta": 1}, {"temperature": 0}, {"temperature": 0}),
        ({"dynatemp_range": 0.5}, {"temperature": 0}, {"temperature": 0}),
        ({"temperature": 0}, {"dynatemp_range": 0.5}, {"dynatemp_range": 0.5}),
        ({"temperature": 0, "seed": 1}, {"mirostat": 1}, {"mirostat": 1, "seed": 1}),
    ],
)
def test_what_would_contradict_the_request_is_left_out(
    own: dict[str, Any], asked: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert defaults(**own).generation(chat(**asked)).sampling == chat(**kept).sampling


def test_an_instruction_comes_first_unless_there_is_one() -> None:
    own = defaults(system_prompt="You are a parrot.")
    filled = own.generation(chat()).prompt
    assert isinstance(filled, ChatPrompt)
    assert filled.messages == (Message(Role.SYSTEM, "You are a parrot."), Message(Role.USER, "hello"))
    for role in ("system", "developer"):
        asked = decode({"model": "m", "messages": [{"role": role, "content": "Be brief."}, *HELLO]}, LIMITS).request
        assert own.generation(asked) == asked
    bare = GenerateRequest("m", TextPrompt("hello"))
    assert own.generation(bare) == bare


def test_tokens_are_counted_of_what_the_model_would_read() -> None:
    own = defaults(system_prompt="You are a parrot.")
    asked = TokenizeRequest("m", chat().prompt, "count")
    filled = own.tokens(asked).prompt
    assert isinstance(filled, ChatPrompt)
    assert filled.messages[0].content == "You are a parrot."
    assert NONE.tokens(asked) is asked


def test_how_long_a_model_stays_is_filled_as_well() -> None:
    own = defaults(keep_alive_s=60.0)
    assert own.generation(chat()).keep_alive_s == 60
    assert own.generation(chat(keep_alive=0)).keep_alive_s == 0
    asked = EmbedRequest("m", (TextPrompt("x"),))
    assert own.pooled(asked) == replace(asked, keep_alive_s=60.0)
    assert own.pooled(replace(asked, keep_alive_s=1.0)).keep_alive_s == 1
    assert NONE.pooled(asked) is asked


def test_an_instruction_cannot_pretend_to_be_an_image() -> None:
    assert defaults(system_prompt=f"look: {IMAGE_MARK}").system_prompt == "look: \ufffd"


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": ["x" * 257]}, "stop.0"),
        ({"mirostat": 2, "top_k": 3}, "top_k"),
        ({"min_tokens": 9, "max_tokens": 3}, "min_tokens"),
        ({"system_prompt": "x" * 65_537}, "system_prompt"),
        ({"user": "x" * 513}, "user"),
        ({"seed": 2**63}, "seed"),
        ({"model": "other"}, "model"),
        ({"temperature": "0.5"}, "temperature"),
    ],
)
def test_parameters_are_held_to_the_ranges_of_requests(params: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as refused:
        defaults(**params)
    assert refused.value.param == param


def test_what_was_said_is_kept_as_it_is_and_what_was_not_is_left_out() -> None:
    assert validated(RequestParams, {"stop": "x", "temperature": 1.0, "top_p": None}).stored() == {
        "stop": ["x"],
        "temperature": 1.0,
    }
    assert validated(RequestParams, {}).stored() == {}
    assert Sampling() == defaults(user="ann").sampling
