"""Starlette: the same verbs."""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from bodhi_starlette import BodhiApp, get_bodhi, install
from tests.integrations.conftest import HELLO


def test_a_view_reaches_the_verbs_from_its_request(make_settings: Callable[[], dict[str, Any]]) -> None:
    async def ask(request: Request) -> PlainTextResponse:
        return PlainTextResponse((await get_bodhi(request).chat_completion(HELLO, stream=False)).text)

    app = Starlette(routes=[Route("/ask", ask)])
    made = BodhiApp(**make_settings())
    assert install(app, made) is made
    with TestClient(app) as client:
        assert client.get("/ask").text == "hello there"
