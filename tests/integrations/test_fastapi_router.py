"""FastAPI: our routes as its own, one document, and the host's dependencies enforced."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.testclient import TestClient

from bodhi_asgi import Caller
from bodhi_fastapi import BodhiApp, BodhiDep, merge_openapi
from tests.integrations.conftest import HELLO

Settings = Callable[[], dict[str, Any]]


def identity(connection: Any) -> Caller | None:
    name = connection.headers.get("x-user")
    return Caller.user(name) if name else None


def key_required(x_key: Annotated[str, Header()] = "") -> None:
    if x_key != "right":
        raise HTTPException(418, "the host's own no")


KEYS = {"x-key": "right", "x-user": "ann"}


def routed(make_settings: Settings, prefix: str = "/bodhi", **options: Any) -> tuple[FastAPI, BodhiApp]:
    app = FastAPI(**options)

    @app.get("/ask")
    async def ask(bodhi: BodhiDep) -> str:
        return (await bodhi.chat_completion(HELLO, stream=False)).text

    bodhi = BodhiApp(identity=identity, **make_settings())
    app.include_router(bodhi.router(), prefix=prefix, dependencies=[Depends(key_required)])
    return app, bodhi


def test_the_hosts_dependencies_are_asked_before_us_and_ours_after_them(make_settings: Settings) -> None:
    app, bodhi = routed(make_settings)
    with TestClient(app) as client:
        assert bodhi.status == "ready"
        assert client.get("/ask").json() == "hello there"
        chat = "/bodhi/v1/chat/completions"
        assert client.post(chat, json=HELLO).json() == {"detail": "the host's own no"}
        assert client.post(chat, json=HELLO, headers={"x-key": "right"}).status_code == 401
        answer = client.post(chat, json=HELLO, headers=KEYS)
        assert answer.json()["choices"][0]["message"]["content"] == "hello there"
        with client.stream("POST", chat, json={**HELLO, "stream": True}, headers=KEYS) as stream:
            assert [line for line in stream.iter_lines() if line][-1] == "data: [DONE]"
        answer = client.post(chat, content=b"{", headers={**KEYS, "content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert client.get("/bodhi/v1/models/parrot", headers=KEYS).json()["id"] == "parrot"
        assert client.get("/bodhi/v1/models/a/v1/models/b", headers=KEYS).status_code == 404
    assert bodhi.status == "stopped"


def test_the_prefix_is_followed_wherever_it_is(make_settings: Settings) -> None:
    app, _ = routed(make_settings, "/of/{tenant}/llm")
    for root_path in ("", "/proxy"):
        with TestClient(app, root_path=root_path) as client:
            at = f"{root_path}/of/acme/llm"
            assert client.get(f"{at}/bodhi/v1/info", headers=KEYS).json()["url"] == at
            assert client.get(f"{at}/v1/models/parrot", headers=KEYS).json()["id"] == "parrot"


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, entry in value.items():
            if key == "$ref":
                yield entry
            else:
                yield from references(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from references(entry)


def found(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


def test_one_document_has_the_hosts_routes_and_every_one_of_ours(make_settings: Settings) -> None:
    app, bodhi = routed(make_settings)
    document = app.openapi()
    ours: Any = bodhi.openapi()
    assert "/ask" in document["paths"]
    for path, operations in ours["paths"].items():
        for method, operation in operations.items():
            shown = document["paths"][f"/bodhi{path}"][method]
            assert set(operation["responses"]) <= set(shown["responses"]), path
            assert [one["name"] for one in operation.get("parameters", [])] == [
                one["name"] for one in shown.get("parameters", []) if one["in"] != "header"
            ]
            assert ("requestBody" in operation) == ("requestBody" in shown)
            assert shown["tags"] == ["bodhi"]
            assert ("security" in shown) == bool(operation["security"])
    assert all(found(document, reference) for reference in references(document))
    assert "bodhi" in document["components"]["securitySchemes"]
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_a_mount_is_shown_in_the_hosts_document_when_asked_for(make_settings: Settings) -> None:
    app = FastAPI()
    bodhi = BodhiApp(**make_settings())
    bodhi.install(app, "/llm")

    @app.get("/own", tags=["host"])
    async def own() -> str:
        return ""

    before = app.openapi()
    merge_openapi(app, bodhi, "/llm")
    document = app.openapi()
    assert document is app.openapi()
    assert before["paths"].items() <= document["paths"].items()
    assert "/llm/v1/chat/completions" not in before["paths"], "the host's own document is not changed"
    chat = document["paths"]["/llm/v1/chat/completions"]["post"]
    assert (chat["operationId"], chat["tags"], chat["security"]) == ("bodhi_chat", ["bodhi"], [{"Bodhi_bearer": []}])
    assert "Bodhi_ChatCompletionRequest" in document["components"]["schemas"]
    assert all(found(document, reference) for reference in references(document))

    @app.get("/later")
    async def later() -> str:
        return ""

    app.openapi_schema = None
    assert {"/later", "/llm/v1/models"} <= set(app.openapi()["paths"])
