"""Bodies of direct calls are refused for what JSON could not have said, as over HTTP, and with the place of it."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi import BodhiServer
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionRequest
from bodhi_asgi.strict_json import MAX_CONTAINERS, MAX_DEPTH, MAX_VALUES, JSONInvalid, load_object
from bodhi_asgi.wire.given import refuse_unlike_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_what_json_says_passes(body: dict[str, Any]) -> None:
    refuse_unlike_json(body)
    refuse_unlike_json(load_object(orjson.dumps(body)))


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"items": value}
    return value


RING: dict[str, Any] = {}
RING["again"] = RING

UNLIKE: list[tuple[Any, str | None, str]] = [
    ({1, 2}, "a.b", "no set"),
    (b"x", "a.b", "no bytes"),
    (datetime.now(UTC), "a.b", "no datetime"),
    (math.nan, "a.b", "finite"),
    ([0, -math.inf], "a.b.1", "finite"),
    (2**63, "a.b", "64 bits"),
    ("\ud800", "a.b", "surrogate"),
    ({"\udfff": 1}, "a.b.\\udfff", "surrogate"),
    ({3: 1}, "a.b.3", "texts"),
    ({(1, 2): 1}, "a.b.(1, 2)", "texts"),
    (nested(MAX_DEPTH), None, "deeper than 64"),
    (nested(20_000), None, "deeper than 64"),
    (RING, None, "deeper than 64"),
    ([0] * (MAX_VALUES + 1), None, "more than 200000 values"),
    ([[]] * (MAX_CONTAINERS + 1), None, "more than 50000 lists"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "param", "says"), UNLIKE, ids=lambda value: None)
def test_what_json_could_not_have_said_is_refused_by_its_place(value: Any, param: str | None, says: str) -> None:
    with pytest.raises(JSONInvalid, match=says) as refused:
        refuse_unlike_json({"a": {"b": value}})
    assert refused.value.param == param


async def test_a_direct_call_is_refused_like_one_over_http(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "hello"}]
    chat = {"model": "parrot", "messages": messages}
    engine = {"runner": "echo", "isolation": "thread"}
    async with BodhiServer(data_dir=tmp_path / "data", models={"parrot": "x"}, demo=False, engine=engine) as bodhi:
        for fields, param in (
            ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": {1}}}}]},
             "tools.0.function.parameters.x"),
            ({"guided_json": {"const": 2**70}}, "guided_json.const"),
            ({"guided_choice": ["\ud800"]}, "guided_choice.0"),
            ({"guided_regex": "\ud800"}, "guided_regex"),
            ({"stop": "\ud800"}, "stop"),
            ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages.0.content"),
        ):  # fmt: skip
            for body in ({**chat, **fields}, {**chat, **fields, "stream": True}):
                with pytest.raises(JSONInvalid) as refused:
                    await bodhi.chat_completion(body)
                assert refused.value.param == param
        typed = ChatCompletionRequest(model="parrot", messages=messages, guided_json={"const": math.inf})  # type: ignore[list-item]
        with pytest.raises(JSONInvalid) as refused:
            await bodhi.chat_completion(typed)
        assert refused.value.param == "guided_json.const"
        with pytest.raises(JSONInvalid, match="input"):
            await bodhi.embeddings({"model": "parrot", "input": [b"hello"]})
        assert (await bodhi.chat_completion(chat)).choices[0].message.content == "hello"
