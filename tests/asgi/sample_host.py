"""A host for ``uvicorn tests.asgi.sample_host:NAME`` in a process of its own; its folder comes by the environment."""

import os
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from bodhi_asgi import BodhiApp, BodhiError, Caller

ENGINE = {"runner": "poison", "isolation": "thread", "n_ctx": 16_384, "slots": 4}


def user(connection: Any) -> Caller | None:
    name = connection.headers.get("x-user")
    return Caller.user(name) if name else None


async def page(_: Request) -> PlainTextResponse:
    return PlainTextResponse("the host's own page")


async def own_stream(request: Request) -> StreamingResponse:
    """A page of the host that streams what our verbs say."""
    stream = await alone.server.chat_completion(await request.json(), stream=True)

    async def words() -> AsyncIterator[str]:
        try:
            async with stream:
                async for chunk in stream:
                    yield chunk.choices[0].delta.content or ""
        except BodhiError as error:
            yield f"<{error.code}>"

    return StreamingResponse(words())


alone = BodhiApp(data_dir=os.environ["SAMPLE_FOLDER"], models={"parrot": "x"}, demo=False, engine=ENGINE, identity=user)
installed = alone.install(Starlette(routes=[Route("/", page), Route("/own", own_stream, methods=["POST"])]))
mounted = Starlette(routes=[Route("/", page), Route("/own", own_stream, methods=["POST"]), Mount("/bodhi", alone)])
