"""A host for whole processes: its own page, and six models that do what the prompt says, each in an engine process."""

import os
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bodhi_asgi import BodhiApp, Caller

MODELS = {f"m{number}": "nowhere" for number in range(6)}
ENGINE = {"runner": "poison", "n_ctx": 4096, "slots": 4, "linger_s": 1}


def user(connection: Any) -> Caller | None:
    name = connection.headers.get("x-user")
    return Caller.user(name) if name else None


async def page(_: Request) -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


bodhi = BodhiApp(data_dir=os.environ["SAMPLE_FOLDER"], models=MODELS, demo=False, engine=ENGINE, identity=user)
app = bodhi.install(Starlette(routes=[Route("/", page)]))
