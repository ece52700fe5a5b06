"""FastAPI: install, and depend on the verbs."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from bodhi_asgi import BodhiApp, BodhiError, Caller, Grants
from bodhi_fastapi import BodhiDep, UserBodhiDep, install
from tests.integrations.conftest import ECHO, HELLO


def test_a_view_depends_on_the_verbs_of_the_host_or_of_the_user(make_settings: Callable[[], dict[str, Any]]) -> None:
    app = FastAPI()

    def identity(connection: Any) -> Caller | None:
        name = connection.headers.get("x-user")
        return Caller.user(name, grants=Grants(models=frozenset({"other"}))) if name else None

    bodhi = install(app, path="/ai", identity=identity, **make_settings())

    @app.post("/ask")
    async def ask(verbs: BodhiDep) -> str:
        return (await verbs.chat_completion(HELLO, stream=False)).text

    @app.post("/mine")
    async def mine(verbs: UserBodhiDep) -> Any:
        try:
            return (await verbs.chat_completion(HELLO, stream=False)).text
        except BodhiError as error:
            return error.status

    with TestClient(app) as client:
        assert client.post("/ask").json() == "hello there"
        assert client.post("/mine").json() == 401
        assert client.post("/mine", headers={"x-user": "ann"}).json() == 403
        assert client.get("/ai/ping").json() == {"message": "pong"}
    assert isinstance(bodhi, BodhiApp)
    assert ECHO["runner"] == "echo"
