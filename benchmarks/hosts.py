"""Small host applications for the benchmarks, as uvicorn starts them: one without us, and one that asks our model.

Both say which process answered, so that a benchmark can wait until every worker has been at work.
"""

import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route

QUESTION = {"model": "bench", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "temperature": 0}
PIECES = 100


async def who(request: Request) -> JSONResponse:  # noqa: ARG001
    return JSONResponse({"pid": os.getpid()})


async def ask(request: Request) -> JSONResponse:
    """One answer of the model by a direct call."""
    reply = await request.app.state.server.chat_completion(QUESTION, stream=False)
    return JSONResponse({"pid": os.getpid(), "tokens": reply.usage.completion_tokens})


def plain() -> Starlette:
    """A host without us."""
    return Starlette(routes=[Route("/ask", who)])


def with_bodhi() -> Starlette:
    """The same host with us mounted; settings come from the environment."""
    from bodhi_asgi import BodhiApp  # here, so that the host alone does not pay for it

    bodhi = BodhiApp()
    app = Starlette(routes=[Route("/ask", ask), Mount("/llm", bodhi)])
    app.state.server = bodhi.server
    bodhi.install(app)
    return app


def own_routes() -> Starlette:
    """A host whose own route is measured, without us."""
    return Starlette(routes=[Route("/who", who)])


def own_routes_with_bodhi() -> Starlette:
    """The same with us in it, as one line does it."""
    from bodhi_asgi import BodhiApp

    return BodhiApp().install(own_routes())


async def _pieces() -> AsyncIterator[bytes]:
    for _ in range(PIECES):
        yield b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'
    yield b"data: [DONE]\n\n"


async def _stream(request: Request) -> StreamingResponse:
    await request.body()
    return StreamingResponse(_pieces(), media_type="text/event-stream")


def streaming() -> Starlette:
    """A bare framework that streams as many pieces as the echo runner: what a stream costs at the least."""
    return Starlette(routes=[Route("/v1/chat/completions", _stream, methods=["POST"]), Route("/ask", who)])
