"""One request that is given to an ASGI application by who is no server: read, fed, and left at any moment."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from bodhi_django.exchange import BODY_WANTED, Hand, exchange

START = {"type": "http.response.start", "status": 200, "headers": []}
SCOPE = {"type": "http"}


def body(text: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": more}


async def read(messages: AsyncGenerator[Any], hand: Hand, pieces: list[bytes]) -> list[Any]:
    """All messages, with one piece of the body for every wish, and the end of it after the last."""
    found = []
    async for message in messages:
        if message["type"] == BODY_WANTED:
            hand.piece = pieces.pop(0) if pieces else b""
        else:
            found.append(message)
    return found


async def test_a_body_is_handed_over_piece_by_piece_as_it_is_asked_for() -> None:
    heard = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["more_body"]:
            heard.append(message["body"])
        await send(START)
        await send(body(b"thanks", more=False))

    hand = Hand()
    assert await read(exchange(app, SCOPE, hand), hand, [b"one", b"two"]) == [START, body(b"thanks", more=False)]
    assert heard == [b"one", b"two"]


async def test_what_the_application_raises_is_raised_to_the_reader() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        raise LookupError("nowhere")

    hand = Hand()
    with pytest.raises(LookupError, match="nowhere"):
        await read(exchange(app, SCOPE, hand), hand, [])


async def test_an_application_that_has_last_words_ends_when_nobody_reads_on() -> None:
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            while True:
                await send(body(b"word"))
        except asyncio.CancelledError:
            # More of them than there is room for, one of them under its own limit as our streams have it.
            async with asyncio.timeout(30):
                await send(body(b"last"))
            await send(body(b"words"))
            await send(body(b"", more=False))
            raise
        finally:
            ended.append(True)

    async with asyncio.timeout(30):
        messages = exchange(app, SCOPE, Hand())
        assert await anext(messages) == START
        await messages.aclose()
    assert ended == [True]


async def test_an_application_that_is_left_hears_that_its_client_has_gone() -> None:
    heard = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        finally:
            heard.append((await receive())["type"])

    async with asyncio.timeout(30):
        messages = exchange(app, SCOPE, Hand())
        assert (await anext(messages))["type"] == BODY_WANTED
        await messages.aclose()
    assert heard == ["http.disconnect"]
