"""Wherever a host puts us, our addresses are right: below its own root path, with and without a slash, behind nginx."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp, Caller
from bodhi_fastapi import router_of
from tests.asgi.guests import KINDS, hosting
from tests.behaviour.doors import django_application
from tests.hosts.matrix import APP, AS_ANN, CHAT, HELLO, environment_of
from tests.servers import spawned

pytestmark = pytest.mark.timeout(400)  # several processes each, on machines that are slow

LINK = re.compile(r"""(?:href|src)="([^"]+)\"""")
STANDALONE = "alone"


def host(kind: str, bodhi: BodhiApp, mount: str) -> Any:
    if kind == STANDALONE:
        return bodhi
    if kind == "a mount of its own":
        return Starlette(routes=[Mount(mount, bodhi)], lifespan=bodhi.lifespan)
    if kind == "routes of FastAPI":
        app = FastAPI()
        app.include_router(router_of(bodhi), prefix=mount)
        return app
    if kind == "django":
        django_application()
    return hosting(kind, {mount: bodhi})


@pytest.mark.parametrize("outer", ["", "/tools"])
@pytest.mark.parametrize("kind", [*KINDS, "a mount of its own", STANDALONE])
def test_every_link_leads_below_the_mount(kind: str, outer: str, tmp_path: Path) -> None:
    mount = "" if kind == STANDALONE else "/llm"
    with TestClient(
        host(kind, made(tmp_path), mount), base_url="http://localhost", root_path=outer, follow_redirects=False
    ) as client:
        for path in ("", "/") if mount else ():
            answer = client.get(f"{mount}{path}")
            expected = {"a mount of its own": {"": 307}}.get(kind, {}).get(path, 401)
            assert answer.status_code == expected, "the host's own mount redirects; none of ours does"
        assert client.get("/llmx/ping").status_code in (401, 404)
        check_addresses(client.get, mount, outer + mount)


@pytest.mark.parametrize("outer", ["", "/tools"])
def test_routes_of_fastapi_know_where_they_are(outer: str, tmp_path: Path) -> None:
    app = host("routes of FastAPI", made(tmp_path), "/llm")
    with TestClient(app, root_path=outer) as client:
        answer = client.get("/llm/bodhi/v1/info", headers=AS_ANN)
        assert answer.json()["url"] == f"{outer}/llm"
        document = client.get("/openapi.json").json()
        assert "/llm/v1/models" in document["paths"]
        assert client.post("/llm/v1/chat/completions", json=hello(), headers=AS_ANN).status_code == 200


@pytest.mark.parametrize("kind", [*KINDS, "a mount of its own"])
def test_a_root_path_that_the_server_says_beside_the_path_is_followed(kind: str, tmp_path: Path) -> None:
    """As hypercorn and daphne do, where uvicorn puts it in front of the path."""
    inner = host(kind, made(tmp_path), "/llm")

    async def beside(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope if scope["type"] == "lifespan" else {**scope, "root_path": "/tools"}, receive, send)

    with TestClient(beside, base_url="http://localhost") as client:
        check_addresses(client.get, "/llm", "/tools/llm")


def made(folder: Path) -> BodhiApp:
    engine: dict[str, Any] = {"runner": "echo", "isolation": "thread", "n_ctx": 256}
    return BodhiApp(
        data_dir=folder / "data", models={"parrot": "x"}, demo=False, docs=True, engine=engine, identity=ann
    )


def ann(connection: Any) -> Caller | None:
    return Caller.user("ann") if connection.headers.get("x-user") == "ann" else None


def hello() -> dict[str, Any]:
    return {"model": "parrot", "messages": HELLO}


def check_addresses(get: Callable[..., Any], asked: str, shown: str) -> None:
    """Ask below ``asked``; what comes back speaks of ``shown``, by paths only, sets no cookies and redirects nobody."""

    def below(path: str, **options: Any) -> Any:
        answer = get(asked + path, **options)
        assert answer.status_code == 200, (path, answer.text)
        assert "location" not in answer.headers
        assert "set-cookie" not in answer.headers
        return answer

    assert below("/ping").json() == below("/ping/").json() == {"message": "pong"}
    assert below("/bodhi/v1/info", headers=AS_ANN).json()["url"] == (shown or "/")
    document = below("/openapi.json").json()
    assert document["servers"] == [{"url": shown or "/"}]
    page = below("/docs").text
    links = LINK.findall(page)
    assert links, page
    for link in links:
        whole = urljoin(f"http://localhost{shown}/docs", link)
        assert whole.startswith(f"http://localhost{shown}/"), link
        below(whole.removeprefix(f"http://localhost{shown}"))


LOCATION = """
location /tools/ {{
    proxy_pass {upstream}/;
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_buffering off;
}}
"""
TOLD = {
    "uvicorn": (["uvicorn", APP, "--port", "0", "--root-path", "/tools"], r"running on (http://127\.0\.0\.1:\d+)"),
    "hypercorn": (["hypercorn", APP, "--bind", "127.0.0.1:0", "--root-path", "/tools"], r"Running on (http://\S+)"),
    "daphne": (["daphne", "-p", "0", "--root-path", "/tools", APP], r"Listening on TCP address (127\.0\.0\.1:\d+)"),
}


@asynccontextmanager
async def nginx(upstream: str, folder: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """nginx with ``upstream`` at ``/tools/``, which it takes away, and a client of it."""
    listening = folder / "nginx.sock"
    temporary = "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary} server {{ listen unix:{listening}; "
        f"{LOCATION.format(upstream=upstream)} }} }}\n"
    )
    process = await asyncio.create_subprocess_exec(
        *("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")), env=os.environ
    )
    try:
        transport = httpx2.AsyncHTTPTransport(uds=str(listening))
        async with httpx2.AsyncClient(base_url="http://localhost", transport=transport, timeout=60) as client:
            await _until_it_listens(process, client)
            yield client
    finally:
        process.terminate()
        async with asyncio.timeout(10):
            await process.wait()


async def _until_it_listens(process: asyncio.subprocess.Process, client: httpx2.AsyncClient) -> None:
    """nginx says nothing when it does."""
    async with asyncio.timeout(30):
        while True:
            assert process.returncode is None
            try:
                await client.get("/")
            except httpx2.ConnectError:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx here")
@pytest.mark.parametrize(
    ("server", "kind", "attach"),
    [
        *(("uvicorn", kind, "install") for kind in (*KINDS, "bridge")),
        ("hypercorn", "starlette", "lifespan"),
        ("daphne", "bridge", "install"),
    ],
)
async def test_behind_nginx_that_takes_the_prefix_away_everything_is_found(
    server: str, kind: str, attach: str, tmp_path: Path
) -> None:
    command, running = TOLD[server]
    environment = environment_of(kind, attach, tmp_path) | {"SITE_ISOLATION": "thread"}
    async with spawned([sys.executable, "-m", *command], environment) as process:
        where = await process.until(running)
        async with nginx(where if "://" in where else f"http://{where}", tmp_path) as client:
            assert (await client.get("/tools/")).text == "the host's own page"
            loop = asyncio.get_running_loop()

            def get(path: str, **options: Any) -> Any:
                return asyncio.run_coroutine_threadsafe(client.get(path, **options), loop).result()

            await asyncio.to_thread(check_addresses, get, "/tools/bodhi", "/tools/bodhi")
            if kind != "bridge":  # which asks for Django's token against forged requests
                answer = await client.post(f"/tools{CHAT}", json=hello(), headers=AS_ANN)
                assert answer.json()["choices"][0]["message"]["content"] == "hello there"
