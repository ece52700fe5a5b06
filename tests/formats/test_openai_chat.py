"""The OpenAI chat dialect: every body becomes a request or one clear refusal."""

import time
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.errors import BodhiError, Busy, Forbidden, Invalid, NotFound, Unauthenticated, Unavailable
from bodhi_asgi.formats.management.errors import error_body as management_body
from bodhi_asgi.formats.openai_chat.decode import (
    NEUTRAL,
    UNSUPPORTED,
    decode,
)
from bodhi_asgi.formats.openai_chat.encode import ChunkEncoder
from bodhi_asgi.formats.openai_chat.errors import error_body
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionChunk, ChatCompletionRequest
from bodhi_asgi.messages.answers import Delta, FinishReason, Usage
from bodhi_asgi.messages.conversation import Message, Role
from bodhi_asgi.validation import ParameterUnknown
from bodhi_asgi.wire.limits import RequestLimits
from bodhi_asgi.wire.refusal import ParameterUnsupported

LIMITS = RequestLimits()
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def test_every_parameter_reaches_the_neutral_request() -> None:
    call = decode(
        {
            "model": "m",
            "messages": [
                {"role": "developer", "content": "be brief"},
                {"role": "user", "content": "hi", "name": "ann"},
            ],
            "temperature": 0.3,
            "top_p": 0.9,
            "top_k": 40,
            "min_p": 0.1,
            "typical_p": 0.8,
            "repeat_penalty": 1.1,
            "frequency_penalty": 0.5,
            "presence_penalty": -0.5,
            "penalty_last_n": 64,
            "seed": 7,
            "logit_bias": {"5": -100},
            "max_completion_tokens": 9,
            "stop": "x",
            "stream": True,
            "stream_options": {"include_usage": True},
            "user": "somebody",
            "n": 3,
            "mirostat": 0,
            "mirostat_tau": 4,
            "mirostat_eta": 0.2,
            "dry_multiplier": 0.8,
            "dry_base": 2,
            "dry_allowed_length": 3,
            "dry_penalty_last_n": 100,
            "dry_sequence_breakers": ["-"],
            "xtc_probability": 0.3,
            "xtc_threshold": 0.2,
            "top_n_sigma": 1.5,
            "dynatemp_range": 0.4,
            "dynatemp_exponent": 1.5,
            "min_tokens": 2,
            "ignore_eos": True,
            "stop_token_ids": [4, 5],
        },
        LIMITS,
    )

    assert call.stream
    assert call.include_usage
    assert call.request.max_tokens == 9
    assert call.request.stop == ("x",)
    assert call.request.n == 3
    assert call.request.prompt.messages == (Message(Role.SYSTEM, "be brief"), Message(Role.USER, "hi", "ann"))
    assert call.request.stop_tokens == (4, 5)
    assert call.request.min_tokens == 2
    assert call.request.ignore_eos
    given = astuple(call.request.sampling)
    assert given[:11] == (0.3, 0.9, 40, 0.1, 0.8, 1.1, 0.5, -0.5, 64, 7, ((5, -100),))
    assert given[11:] == (0, 4, 0.2, 0.8, 2, 3, 100, ("-",), 0.3, 0.2, 1.5, 0.4, 1.5)


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_a_value_that_asks_for_nothing_is_accepted_and_another_is_not(name: str) -> None:
    for value in NEUTRAL[name]:
        decode({**HELLO, name: value}, LIMITS)
    with pytest.raises(ParameterUnsupported) as refused:
        decode({**HELLO, name: "something"}, LIMITS)
    assert refused.value.param == name


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_an_unsupported_parameter_is_refused_unless_it_is_null(name: str) -> None:
    decode({**HELLO, name: None}, LIMITS)
    with pytest.raises(ParameterUnsupported, match=name):
        decode({**HELLO, name: 1}, LIMITS)


def test_true_is_not_the_number_one() -> None:
    with pytest.raises(ParameterUnsupported):
        decode({**HELLO, "store": 0}, LIMITS)


def test_an_unknown_field_deep_inside_is_named_by_its_path() -> None:
    with pytest.raises(ParameterUnknown) as refused:
        decode({"model": "m", "messages": [{"role": "user", "content": "x", "colour": "red"}]}, LIMITS)
    assert refused.value.param == "messages.0.colour"


def test_differing_limits_are_refused_and_equal_ones_are_not() -> None:
    decode({**HELLO, "max_tokens": 3, "max_completion_tokens": 3}, LIMITS)
    with pytest.raises(Invalid, match="differ"):
        decode({**HELLO, "max_tokens": 3, "max_completion_tokens": 4}, LIMITS)


def test_an_option_with_two_names_is_the_same_under_both() -> None:
    for name, second in (("repeat_penalty", "repetition_penalty"), ("penalty_last_n", "repeat_last_n")):
        assert decode({**HELLO, name: 2}, LIMITS).request == decode({**HELLO, second: 2}, LIMITS).request
        decode({**HELLO, name: 2, second: 2}, LIMITS)
        with pytest.raises(Invalid, match="differ"):
            decode({**HELLO, name: 2, second: 3}, LIMITS)


def test_log_probabilities_are_wanted_with_so_many_alternatives() -> None:
    assert decode(HELLO, LIMITS).request.logprobs is None
    assert decode({**HELLO, "logprobs": False}, LIMITS).request.logprobs is None
    assert decode({**HELLO, "logprobs": True}, LIMITS).request.logprobs == 0
    assert decode({**HELLO, "logprobs": True, "top_logprobs": 20}, LIMITS).request.logprobs == 20
    for wrong in ({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 21}):
        with pytest.raises(Invalid) as refused:
            decode({**HELLO, **wrong}, LIMITS)
        assert refused.value.param == "top_logprobs"


def test_too_many_messages_are_refused() -> None:
    with pytest.raises(Invalid, match="at most 2 are accepted"):
        decode({**HELLO, "messages": HELLO["messages"] * 3}, RequestLimits(messages=2))


def test_a_typed_request_is_taken_as_it_is() -> None:
    assert decode(ChatCompletionRequest.model_validate(HELLO), LIMITS).request.model == "m"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from([*ChatCompletionRequest.model_fields, *NEUTRAL, *UNSUPPORTED, "other"]), JSON_VALUES
    )
)
def test_any_body_is_decoded_or_refused_with_a_short_sentence(body: dict[str, Any]) -> None:
    refusal = refusal_of({**HELLO, **body})
    assert refusal is None or (refusal.param and len(refusal.message) < 400)


def refusal_of(body: dict[str, Any]) -> Invalid | None:
    try:
        decode(body, LIMITS)
    except Invalid as refusal:
        return refusal
    return None


def test_chunks_are_valid_and_usage_is_null_until_the_end() -> None:
    encoder = ChunkEncoder(request_id="1", model="m", created=5, include_usage=True)
    chunks = encoder.encode(Delta()) + encoder.encode(Delta("hi"))
    chunks += encoder.encode(Delta("!", FinishReason.LENGTH, Usage(2, 3)))

    parsed = [ChatCompletionChunk.model_validate(chunk) for chunk in chunks]

    assert "".join(chunk.text for chunk in parsed) == "hi!"
    assert parsed[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in parsed if chunk.choices][-1] == "length"
    assert parsed[-1].choices == []
    assert parsed[-1].usage is not None
    assert parsed[-1].usage.total_tokens == 5
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


@pytest.mark.parametrize(
    ("error", "openai_type", "management_type"),
    [
        (Invalid("x", param="p"), "invalid_request_error", "invalid_request_error"),
        (Unauthenticated("x"), "authentication_error", "authentication_error"),
        (Forbidden("x"), "permission_error", "forbidden_error"),
        (NotFound("x"), "invalid_request_error", "not_found_error"),
        (Busy("x", retry_after_s=1), "rate_limit_error", "rate_limit_error"),
        (Unavailable("x"), "server_error", "service_unavailable"),
    ],
)
def test_each_kind_has_its_type_in_each_dialect(error: BodhiError, openai_type: str, management_type: str) -> None:
    assert error_body(error)["error"]["type"] == openai_type
    assert management_body(error)["error"]["type"] == management_type


def test_evidence_travels_as_text_in_the_management_dialect() -> None:
    body = management_body(Invalid("too long", param="name", size=300, limit=100))

    assert body["error"]["params"] == {"size": "300", "limit": "100"}
    assert body["error"]["param"] == "name"


@pytest.mark.parametrize("name", ["messages", "tools", "functions"])
def test_items_are_counted_before_any_of_them_is_looked_into(name: str) -> None:
    with pytest.raises(Invalid, match=f"'{name}' has 3000 items; at most") as refused:
        decode({**HELLO, name: [{"wrong": 1}] * 3000}, LIMITS)
    assert refused.value.param == name


def test_the_first_of_many_unknown_parameters_is_refused_by_its_name() -> None:
    with pytest.raises(ParameterUnknown) as refused:
        decode({**HELLO, **{f"k{number}": 1 for number in range(10_000)}}, LIMITS)
    assert refused.value.param == "k0"


def test_a_message_has_so_many_parts_and_no_more() -> None:
    parts = [{"type": "text", "text": "a"}] * 1025
    with pytest.raises(Invalid, match="at most 1024") as refused:
        decode({"model": "m", "messages": [{"role": "user", "content": parts}]}, LIMITS)
    assert (refused.value.param or "").startswith("messages.0.content")


def test_of_a_value_as_long_as_a_body_only_the_beginning_is_written_out() -> None:
    began = time.process_time()
    for _ in range(50):
        with pytest.raises(Invalid, match=r"'n' is \[\[1, 1, 1, .*\.\.\.: input should") as refused:
            decode({**HELLO, "n": [[1] * 300_000]}, LIMITS)
    assert len(refused.value.message) < 200
    assert time.process_time() - began < 1
