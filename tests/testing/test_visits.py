"""A visitor without a socket: streams come as they are written, and who leaves is noticed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bodhi_asgi import BodhiApp
from bodhi_asgi.errors import NotStarted
from bodhi_asgi.testing import Gate, assert_audited, audit_trail, bearer, frames, scripted, visiting


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "demo", "messages": [{"role": "user", "content": text}], **more}


async def test_a_stream_is_read_while_it_is_written_and_closing_it_stops_the_model() -> None:
    bodhi = BodhiApp()
    host = bodhi.install(Starlette(), "/ai")
    gate = Gate()
    async with scripted(bodhi) as script, visiting(host) as client:
        script.says("Once upon ", gate, "a time", times=2)
        header = await bearer(bodhi, "demo")
        path = "/ai/v1/chat/completions"
        words: list[str] = []
        async with client.stream("POST", path, json=asking("a story", stream=True), headers=header) as response:
            assert response.status_code == 200
            async for frame in frames(response):
                words += [each["delta"]["content"] for each in frame["choices"] if each["delta"].get("content")]
                if "".join(words).startswith("Once upon"):
                    await gate.reached()
                    break
        await script.last.over()
        assert script.last.outcome == "cancelled"

        async with client.stream("POST", path, json=asking("a story", stream=True), headers=header) as response:
            reading = asyncio.create_task(all_of(response))
            await gate.reached(2)
            gate.open()
            assert "".join(await reading) == "Once upon a time"
        rows = await audit_trail(bodhi)
        assert_audited(rows, "token.create", who="host")
        with pytest.raises(AssertionError, match=r"(?s)no row with action='token.revoke'.*host token.create"):
            assert_audited(rows, "token.revoke")


async def all_of(response: Any) -> list[str]:
    return [
        each["delta"]["content"]
        async for frame in frames(response)
        for each in frame["choices"]
        if each["delta"].get("content")
    ]


async def echo(request: Request) -> Response:
    return JSONResponse({"said": (await request.body()).decode(), "greeting": request.state.greeting})


async def broken(_: Request) -> Response:
    raise LookupError("the page is torn")


async def torn(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"so far"
        raise LookupError("the page is torn")

    return StreamingResponse(pieces())


async def endless(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b"more"

    return StreamingResponse(pieces())


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, str]]:
    yield {"greeting": "good day"}


ROUTES = [
    Route("/echo", echo, methods=["POST"]),
    Route("/broken", broken),
    Route("/torn", torn),
    Route("/endless", endless),
]
HOST = Starlette(routes=ROUTES, lifespan=lifespan)


async def test_the_lifespan_runs_and_its_state_is_there() -> None:
    async with visiting(HOST, headers={"X-By": "test"}) as client:
        response = await client.post("/echo", content=b"hello")
        assert response.json() == {"said": "hello", "greeting": "good day"}


async def test_what_the_application_raises_is_raised_in_the_visitor() -> None:
    async with visiting(HOST) as client:
        with pytest.raises(LookupError, match="torn"):
            await client.get("/broken")
        with pytest.raises(LookupError, match="torn"):
            await client.get("/torn")


async def test_an_endless_stream_waits_for_its_reader_and_ends_when_he_leaves() -> None:
    async with visiting(HOST) as client, client.stream("GET", "/endless") as response:
        async for piece in response.aiter_raw():
            assert piece == b"more"
            break


async def test_an_application_that_cannot_start_says_so() -> None:
    @asynccontextmanager
    async def failing(_: Starlette) -> AsyncIterator[None]:
        raise LookupError("no coffee")
        yield

    with pytest.raises(NotStarted, match="no coffee"):
        async with visiting(Starlette(lifespan=failing)):
            raise AssertionError("it has started")


async def test_an_application_without_a_lifespan_is_visited_as_it_is() -> None:
    async with visiting(PlainTextResponse("as it is")) as client:
        assert (await client.get("/")).text == "as it is"
