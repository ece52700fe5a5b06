"""One server, five doors: the same questions asked through each, the same answers expected.

A door is asked in the OpenAI shapes and answers with a status and a body, whether or not there is HTTP in between.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from bodhi_asgi import BodhiApp, BodhiError
from bodhi_asgi.formats.management.errors import error_body as management_body
from bodhi_asgi.formats.management.files import decode_query
from bodhi_asgi.formats.openai_chat.errors import error_body
from tests.servers import serving

DOORS = ("direct", "http", "mounted-starlette", "mounted-fastapi", "wrapped-django")


PATHS = {
    "completion": "v1/completions",
    "embeddings": "v1/embeddings",
    "rerank": "v1/rerank",
    "tokenize": "v1/tokenize",
    "detokenize": "v1/detokenize",
    "apply_template": "v1/apply-template",
}
"""Of the verbs that answer whole, by their names at the direct door."""


@dataclass(frozen=True)
class Answer:
    """What came back: an HTTP status (or the one it would have), and the body. Of a refusal, when to come back in
    seconds, and the place in line."""

    status: int
    body: Any
    retry_after_s: float | None = None
    position: int | None = None

    @property
    def error(self) -> dict[str, Any]:
        return self.body["error"]

    @property
    def text(self) -> str:
        return self.body["choices"][0]["message"]["content"]


class Door(Protocol):
    """A way in."""

    app: BodhiApp

    async def chat(self, body: dict[str, Any], token: str | None) -> Answer: ...
    async def stream(self, body: dict[str, Any], token: str | None) -> list[dict[str, Any]]: ...
    async def ask(self, verb: str, body: dict[str, Any], token: str | None) -> Answer: ...
    async def complete(self, body: dict[str, Any], token: str | None) -> Answer: ...
    async def stream_completion(self, body: dict[str, Any], token: str | None) -> list[dict[str, Any]]: ...
    async def models(self, token: str | None) -> Answer: ...
    async def model(self, name: str, token: str | None) -> Answer: ...
    async def engines(self, token: str | None) -> Answer: ...
    async def load(self, name: str, body: dict[str, Any], token: str | None) -> Answer: ...
    async def unload(self, name: str, token: str | None, *, force: bool = False) -> Answer: ...
    async def files(self, query: dict[str, str], token: str | None) -> Answer: ...
    async def delete_file(self, repo: str, filename: str, token: str | None, *, force: bool = False) -> Answer: ...
    async def alias(self, verb: str, *given: Any, token: str | None) -> Answer: ...
    async def all_models(self, token: str | None, **query: str | int) -> Answer: ...


class DirectDoor:
    """Plain calls: ``for_request`` binds them to the credentials of a connection."""

    def __init__(self, app: BodhiApp) -> None:
        self.app = app

    def _verbs(self, token: str | None) -> Any:
        headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "client": ("127.0.0.1", 1)}
        return self.app.server.for_request(SimpleNamespace(scope=scope))

    async def chat(self, body: dict[str, Any], token: str | None) -> Answer:
        return await self._answer(self._verbs(token).chat_completion(body))

    async def ask(self, verb: str, body: dict[str, Any], token: str | None) -> Answer:
        return await self._answer(getattr(self._verbs(token), verb)(body))

    async def complete(self, body: dict[str, Any], token: str | None) -> Answer:
        return await self._answer(self._verbs(token).completion(body))

    async def stream_completion(self, body: dict[str, Any], token: str | None) -> list[dict[str, Any]]:
        chunks = await self._verbs(token).completion({**body, "stream": True})
        return [chunk.model_dump() async for chunk in chunks]

    async def models(self, token: str | None) -> Answer:
        return await self._answer(self._verbs(token).list_models())

    async def model(self, name: str, token: str | None) -> Answer:
        return await self._answer(self._verbs(token).get_model(name))

    async def engines(self, token: str | None) -> Answer:
        return await self._answer(self._verbs(token).loaded_models())

    async def load(self, name: str, body: dict[str, Any], token: str | None) -> Answer:
        return await self._answer(self._verbs(token).load_model(name, **body))

    async def unload(self, name: str, token: str | None, *, force: bool = False) -> Answer:
        return await self._answer(self._verbs(token).unload_model(name, force=force))

    async def files(self, query: dict[str, str], token: str | None) -> Answer:
        return await self._answer(self._verbs(token).model_files(decode_query(query)))

    async def delete_file(self, repo: str, filename: str, token: str | None, *, force: bool = False) -> Answer:
        return await self._answer(self._verbs(token).delete_model_file(repo, filename, force=force))

    async def alias(self, verb: str, *given: Any, token: str | None) -> Answer:
        status = 201 if verb in ("create", "copy") else 200
        if verb == "delete":
            switches = given[1] if len(given) > 1 else {}
            answer = await self._managed(status, lambda: self._verbs(token).aliases.delete(given[0], **switches))
            return answer if answer.status != status else Answer(status, None)
        return await self._managed(status, lambda: getattr(self._verbs(token).aliases, verb)(*given))

    async def all_models(self, token: str | None, **query: str | int) -> Answer:
        return await self._managed(200, lambda: self._verbs(token).aliases.list(**query))

    async def _managed(self, status: int, call: Any) -> Answer:
        try:
            result = await call()
        except BodhiError as error:
            return Answer(error.status, management_body(error), *_come_back(error))
        return Answer(status, None if result is None else result.model_dump(mode="json"))

    async def stream(self, body: dict[str, Any], token: str | None) -> list[dict[str, Any]]:
        chunks = await self._verbs(token).chat_completion({**body, "stream": True})
        return [chunk.model_dump() async for chunk in chunks]

    async def _answer(self, call: Any) -> Answer:
        try:
            result = await call
        except BodhiError as error:
            return Answer(error.status, error_body(error), *_come_back(error))
        return Answer(204, None) if isinstance(result, int) else Answer(200, result.model_dump())


class HttpDoor:
    """A real server on a real socket; ``base`` ends where ``/v1`` begins."""

    def __init__(self, app: BodhiApp, client: httpx2.AsyncClient) -> None:
        self.app = app
        self.client = client

    async def chat(self, body: dict[str, Any], token: str | None) -> Answer:
        response = await self.client.post("v1/chat/completions", json=body, headers=_bearer(token))
        return _answer(response)

    async def ask(self, verb: str, body: dict[str, Any], token: str | None) -> Answer:
        response = await self.client.post(PATHS[verb], json=body, headers=_bearer(token))
        return _answer(response)

    async def complete(self, body: dict[str, Any], token: str | None) -> Answer:
        response = await self.client.post("v1/completions", json=body, headers=_bearer(token))
        return _answer(response)

    async def models(self, token: str | None) -> Answer:
        response = await self.client.get("v1/models", headers=_bearer(token))
        return Answer(response.status_code, response.json())

    async def model(self, name: str, token: str | None) -> Answer:
        response = await self.client.get(f"v1/models/{name}", headers=_bearer(token))
        return Answer(response.status_code, response.json())

    async def engines(self, token: str | None) -> Answer:
        response = await self.client.get("bodhi/v1/engines", headers=_bearer(token))
        return Answer(response.status_code, response.json())

    async def load(self, name: str, body: dict[str, Any], token: str | None) -> Answer:
        response = await self.client.put(f"bodhi/v1/engines/{name}", json=body, headers=_bearer(token))
        return _answer(response)

    async def unload(self, name: str, token: str | None, *, force: bool = False) -> Answer:
        query = {"force": "true"} if force else {}
        response = await self.client.delete(f"bodhi/v1/engines/{name}", params=query, headers=_bearer(token))
        return Answer(response.status_code, response.json() if response.content else None)

    async def files(self, query: dict[str, str], token: str | None) -> Answer:
        response = await self.client.get("bodhi/v1/models/files", params=query, headers=_bearer(token))
        return Answer(response.status_code, response.json())

    async def delete_file(self, repo: str, filename: str, token: str | None, *, force: bool = False) -> Answer:
        where = {"repo": repo, "filename": filename, **({"force": "true"} if force else {})}
        response = await self.client.delete("bodhi/v1/models/files", params=where, headers=_bearer(token))
        return Answer(response.status_code, response.json())

    async def alias(self, verb: str, *given: Any, token: str | None) -> Answer:
        path = "bodhi/v1/models" if verb == "get" else "bodhi/v1/models/alias"
        method = {"get": "GET", "create": "POST", "update": "PUT", "copy": "POST", "delete": "DELETE"}[verb]
        body = {"create": lambda: given[0], "update": lambda: given[1], "copy": lambda: {"alias": given[1]}}.get(verb)
        path += "" if verb == "create" else f"/{given[0]}/copy" if verb == "copy" else f"/{given[0]}"
        switches = given[1] if verb == "delete" and len(given) > 1 else {}
        query = {name: str(value).lower() for name, value in switches.items()}
        response = await self.client.request(method, path, json=body and body(), params=query, headers=_bearer(token))
        return Answer(response.status_code, response.json() if response.content else None)

    async def all_models(self, token: str | None, **query: str | int) -> Answer:
        response = await self.client.get("bodhi/v1/models", params=query, headers=_bearer(token))
        return Answer(response.status_code, response.json())

    async def stream(self, body: dict[str, Any], token: str | None) -> list[dict[str, Any]]:
        return await self._chunks("v1/chat/completions", body, token)

    async def stream_completion(self, body: dict[str, Any], token: str | None) -> list[dict[str, Any]]:
        return await self._chunks("v1/completions", body, token)

    async def _chunks(self, path: str, body: dict[str, Any], token: str | None) -> list[dict[str, Any]]:
        async with self.client.stream("POST", path, json={**body, "stream": True}, headers=_bearer(token)) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            data = [line[6:] async for line in response.aiter_lines() if line.startswith("data: ")]
        assert data[-1] == "[DONE]"
        return [json.loads(item) for item in data[:-1]]


def _come_back(error: BodhiError) -> tuple[float | None, int | None]:
    position = error.params.get("position")
    return error.retry_after_s, None if position is None else int(position)


def _answer(response: httpx2.Response) -> Answer:
    after, position = response.headers.get("retry-after"), response.headers.get("x-queue-position")
    return Answer(
        response.status_code,
        response.json(),
        None if after is None else float(after),
        None if position is None else int(position),
    )


def _bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


@asynccontextmanager
async def open_door(name: str, app: BodhiApp) -> AsyncIterator[Door]:
    """Open the door ``name`` of ``app``, on a real server unless it is the direct one."""
    async with AsyncExitStack() as stack:
        if name == "direct":
            await stack.enter_async_context(app)
            yield DirectDoor(app)
            return
        host, prefix = host_of(name, app)
        base = await stack.enter_async_context(serving(host))
        client = httpx2.AsyncClient(base_url=f"{base}{prefix}/", timeout=30)
        yield HttpDoor(app, await stack.enter_async_context(client))


def host_of(name: str, app: BodhiApp) -> tuple[Any, str]:
    """The ASGI application that surrounds ``app``, and the prefix it is found under."""
    if name == "http":
        return app, ""
    if name == "mounted-starlette":
        return Starlette(routes=[Route("/", _hello), Mount("/bodhi", app)], lifespan=app.lifespan), "/bodhi"
    if name == "mounted-fastapi":
        from fastapi import FastAPI

        host = FastAPI()
        host.add_route("/", _hello)
        app.install(host, "/bodhi")
        return host, "/bodhi"
    if name == "wrapped-django":
        return app.wrap(django_application(), "/bodhi"), "/bodhi"
    raise ValueError(name)


async def _hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("the host's own page")


def django_application() -> Any:
    """A minimal Django project under ASGI."""
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse
    from django.urls import path

    if not settings.configured:
        urls = ModuleType("urls")
        urls.urlpatterns = [path("", lambda _: HttpResponse("the host's own page"))]  # type: ignore[attr-defined]
        settings.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=["127.0.0.1", "localhost"], SECRET_KEY="only for tests")
        django.setup()
    return get_asgi_application()
