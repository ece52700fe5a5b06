"""A host for ``uvicorn tests.asgi.sample_host:NAME`` in a process of its own; its folder comes by the environment."""

import os
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from bodhi_asgi import BodhiApp, Caller

ENGINE = {"runner": "poison", "isolation": "thread", "n_ctx": 16_384, "slots": 4}


def user(connection: Any) -> Caller | None:
    name = connection.headers.get("x-user")
    return Caller.user(name) if name else None


async def page(_: Request) -> PlainTextResponse:
    return PlainTextResponse("the host's own page")


alone = BodhiApp(data_dir=os.environ["SAMPLE_FOLDER"], models={"parrot": "x"}, demo=False, engine=ENGINE, identity=user)
installed = alone.install(Starlette(routes=[Route("/", page)]))
mounted = Starlette(routes=[Route("/", page), Mount("/bodhi", alone)])
