"""Bodies are read where they hold up nobody, and hold no more values than that allows."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.management.engines import LoadModelRequest
from bodhi_asgi.formats.management.tokens import CreateTokenRequest, UpdateTokenRequest
from bodhi_asgi.formats.openai_chat.decode import decode as decode_chat
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionRequest
from bodhi_asgi.formats.openai_completions.schema import CompletionRequest
from bodhi_asgi.formats.openai_embeddings.decode import decode as decode_embeddings
from bodhi_asgi.formats.openai_embeddings.schema import EmbeddingsRequest
from bodhi_asgi.formats.rerank.schema import RerankBody
from bodhi_asgi.formats.tokenization.schema import DetokenizeBody, TokenizeBody
from bodhi_asgi.strict_json import MAX_CONTAINERS, MAX_KEYS, MAX_VALUES, JSONInvalid
from bodhi_asgi.validation import MANY_FAULTS, ParameterUnknown, WireModel, validated
from bodhi_asgi.wire.desk import SHORT_BYTES, SHORT_CHARS, SHORT_VALUES, Desk
from bodhi_asgi.wire.limits import RequestLimits

LIMITS = RequestLimits()
REQUESTS: tuple[type[BaseModel], ...] = (
    ChatCompletionRequest,
    CompletionRequest,
    CreateTokenRequest,
    DetokenizeBody,
    EmbeddingsRequest,
    LoadModelRequest,
    RerankBody,
    TokenizeBody,
    UpdateTokenRequest,
)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    opened = Desk()
    try:
        yield opened
    finally:
        await opened.close()


def thread_of(_: object) -> str:
    """A decoder that tells where it was called."""
    return threading.current_thread().name


@pytest.mark.parametrize(
    ("body", "is_long"),
    [
        ({"a": 1}, False),
        ({"a": [1] * (SHORT_VALUES - 1)}, False),
        ({"a": [1] * SHORT_VALUES}, True),
        ({"a": "x" * SHORT_CHARS}, False),
        ({"a": ["x" * SHORT_CHARS, "x"]}, True),
        ({"a": [[1] * 400, {"b": (1,) * 400}, [1] * 400]}, True),
        (TokenizeBody(model="m", prompt="x"), False),
        (DetokenizeBody(model="m", tokens=[1] * 2000), True),
    ],
)
async def test_a_long_body_is_decoded_beside_the_loop(desk: Desk, body: Any, is_long: bool) -> None:
    name = await desk.decode(thread_of, body)
    assert name.startswith("bodhi-bodies") == is_long
    assert (name == threading.current_thread().name) != is_long


async def test_a_long_answer_is_made_beside_the_loop(desk: Desk) -> None:
    for size, is_long in ((SHORT_BYTES, False), (SHORT_BYTES + 1, True)):
        name = await desk.encode(lambda: thread_of(None), size=size)
        assert name.startswith("bodhi-bodies") == is_long
        assert (name == threading.current_thread().name) != is_long


async def test_bytes_are_read_into_an_object_whatever_their_number(desk: Desk) -> None:
    assert await desk.load(b'{"a":1}') == {"a": 1}
    long = b"x" * SHORT_BYTES
    assert await desk.load(b'{"a":"' + long + b'"}') == {"a": long.decode()}
    with pytest.raises(JSONInvalid):
        await desk.load(b'{"a":"' + long)


async def test_one_long_body_is_read_at_a_time_and_the_loop_goes_on(desk: Desk) -> None:
    may_end = threading.Event()
    at_work: list[int] = []

    def decode(_: object) -> int:
        at_work.append(1)
        most = len(at_work)
        assert may_end.wait(30)
        at_work.pop()
        return most

    body = {"a": [1] * SHORT_VALUES}
    readers = [asyncio.create_task(desk.decode(decode, body)) for _ in range(3)]
    while not at_work:
        await asyncio.sleep(0)
    assert await desk.decode(thread_of, {"a": 1}) == threading.current_thread().name
    assert not any(reader.done() for reader in readers)
    may_end.set()
    assert await asyncio.gather(*readers) == [1, 1, 1]


class Typed(BaseModel):
    """A request that brings its values as objects."""

    items: list[Any]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"a": [1] * (MAX_VALUES + 1)}, f"{MAX_VALUES} values"),
        ({"a": (1,) * (MAX_VALUES + 1)}, f"{MAX_VALUES} values"),
        ({"a": [[1] * 1000] * 201}, f"{MAX_VALUES} values"),
        ({"a": [[]] * MAX_CONTAINERS}, f"{MAX_CONTAINERS} lists and objects"),
        ({"a": {str(n): 1 for n in range(MAX_KEYS + 1)}}, f"{MAX_KEYS} keys"),
        (Typed(items=[[]] * MAX_CONTAINERS), f"{MAX_CONTAINERS} lists and objects"),
    ],
)
async def test_a_direct_call_may_bring_no_more_than_a_body_of_json(desk: Desk, body: Any, told: str) -> None:
    with pytest.raises(JSONInvalid, match=f"the body has more than {told}"):
        await desk.decode(thread_of, body)


async def test_a_value_that_holds_itself_is_refused_and_not_followed_for_ever(desk: Desk) -> None:
    loop: dict[str, Any] = {"a": [1] * SHORT_VALUES}
    loop["b"] = loop
    with pytest.raises(JSONInvalid, match="nested deeper than 64"):
        await desk.decode(thread_of, loop)


async def test_requests_as_large_as_real_ones_are_taken(desk: Desk) -> None:
    chat = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 2}] * 2048}
    call = await desk.decode(lambda body: decode_chat(body, LIMITS), chat)
    assert len(call.request.prompt.messages) == 2048  # type: ignore[union-attr]
    many = {"model": "m", "input": [[1] * 90] * 2048}
    embeddings = await desk.decode(lambda body: decode_embeddings(body, LIMITS), many)
    assert len(embeddings.request.inputs) == 2048


async def test_closing_waits_for_what_is_read_and_gives_up_what_waits(desk: Desk) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def decode(_: object) -> str:
        has_begun.set()
        assert may_end.wait(30)
        return "read"

    body = {"a": [1] * SHORT_VALUES}
    first = asyncio.create_task(desk.decode(decode, body))
    second = asyncio.create_task(desk.decode(thread_of, body))
    assert await asyncio.to_thread(has_begun.wait, 30)
    closing = asyncio.create_task(desk.close())
    with pytest.raises(asyncio.CancelledError):
        await second
    assert not closing.done()
    may_end.set()
    assert await first == "read"
    await closing


# -- what validation finds


@pytest.mark.parametrize("request_type", REQUESTS)
def test_a_list_of_a_request_is_left_at_its_first_fault(request_type: type[BaseModel]) -> None:
    """Pydantic makes a finding for every wrong item otherwise, and takes a second for those of one body."""

    def lists(schema: Any) -> list[Any]:
        inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
        own = [schema] if isinstance(schema, dict) and schema.get("type") == "list" else []
        return own + [one for value in inner for one in lists(value)]

    # Lists of anything have no wrong items.
    typed = [one for one in lists(request_type.__pydantic_core_schema__) if "items_schema" in one]
    assert [one for one in typed if not one.get("fail_fast") and one["items_schema"]["type"] != "any"] == []


class Many(WireModel):
    """Keys that are known, and any number of them."""

    one: "Inner | None" = None
    numbers: dict[str, Annotated[int, Field(ge=0)]] | None = None


class Inner(WireModel):
    """A shape within."""

    a: int
    b: int | None = None


def test_of_very_many_unknown_keys_the_first_is_named() -> None:
    unknown = {f"k{n}": 1 for n in range(MANY_FAULTS + 1)}
    with pytest.raises(ParameterUnknown) as caught:
        validated(Many, {"one": {**unknown, "a": 1}})
    assert caught.value.param == "one.k0"


def test_very_many_faults_that_do_not_stand_at_the_beginning_are_counted() -> None:
    numbers = {str(n): 1 if n < 100 else -1 for n in range(100 + MANY_FAULTS + 1)}
    with pytest.raises(Invalid, match=f"the body has {MANY_FAULTS + 1} faults"):
        validated(Many, {"numbers": numbers})
    with pytest.raises(Invalid, match=r"'numbers\.0' is -1"):
        validated(Many, {"numbers": dict.fromkeys(numbers, -1)})
