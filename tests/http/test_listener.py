"""A server that listens by itself: its port, its host names, its page, and how it ends."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bodhi_asgi import BodhiServer, BodhiServerBuilder, Grants, MissingDependency
from bodhi_asgi.auth.connection import Connection
from bodhi_asgi.http.guard import HostGuard, HostRefused
from bodhi_asgi.http.listener import AddressRefused, PortInUse, bind
from tests.http.conftest import USE, RawClient

ECHO = {"runner": "poison", "isolation": "thread", "n_ctx": 4096, "slots": 4}


def builder(folder: Path, address: str = "127.0.0.1:0", **settings: Any) -> BodhiServerBuilder:
    built = BodhiServerBuilder().data_dir(folder).enable_http(True).bind_address(address)
    return built.setting(models={"parrot": "x"}, demo=False, engine=ECHO, **settings)


@asynccontextmanager
async def listening(folder: Path, **settings: Any) -> AsyncIterator[tuple[BodhiServer, httpx2.AsyncClient]]:
    async with (
        await builder(folder, **settings).build() as server,
        httpx2.AsyncClient(base_url=f"http://{server.address}", timeout=30) as client,
    ):
        yield server, client


async def test_it_serves_at_the_address_it_names_and_starts_again(tmp_path: Path) -> None:
    server = await builder(tmp_path).build()
    assert server.address is None
    for _ in range(2):
        async with server, httpx2.AsyncClient(base_url=f"http://{server.address}") as client:
            assert (await client.get("/ping")).json() == {"message": "pong"}
            assert "server" not in (await client.get("/ping")).headers
        assert server.address is None


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = await builder(tmp_path, f"127.0.0.1:{port}").build()
        with pytest.raises(PortInUse, match=f"port {port} on 127.0.0.1 is taken") as refused:
            await server.start()
        assert (refused.value.params["port"], refused.value.param) == (port, "bind_address")
        assert server.status == "stopped"


async def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    server = await builder(tmp_path, "192.0.2.1:0").build()
    with pytest.raises(AddressRefused, match=r"cannot listen on 192\.0\.2\.1:0"):
        await server.start()
    assert server.status == "stopped"


async def test_what_is_written_does_not_wait_for_what_was_written_before() -> None:
    said: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        option = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        said.set_result(option)
        writer.close()

    listening = bind("127.0.0.1", 0)
    async with await asyncio.start_server(connected, sock=listening):
        _, writer = await asyncio.open_connection(*listening.getsockname())
        assert await said
        writer.close()


async def test_without_uvicorn_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    server = await builder(tmp_path).build()
    with pytest.raises(MissingDependency, match=r"bodhi-asgi\[server\]"):
        await server.start()
    assert server.status == "stopped"


async def test_a_page_that_rebinds_its_name_to_this_machine_is_refused(tmp_path: Path) -> None:
    async with listening(tmp_path, public_url="https://llm.example/") as (_, client):
        for host in ("localhost:1", "127.0.0.1", "[::1]:80", "LLM.example"):
            assert (await client.get("/ping", headers={"host": host})).status_code == 200
        for host in ("evil.example", "127.0.0.1.evil.example", "0.0.0.0", "localhost.evil.example:80", "[::1", ""):
            answer = await client.get("/ping", headers={"host": host})
            assert answer.status_code in (400, 403)  # uvicorn itself refuses some that are malformed
            assert "pong" not in answer.text
        answer = await client.get("/v1/models", headers={"host": "evil.example"})
        assert answer.json()["error"]["code"] == "host_refused"


def test_a_request_without_a_host_is_refused_on_loopback() -> None:
    guard = HostGuard.for_bind("::1", None)
    assert guard is not None
    guard.check(Connection({"headers": [(b"host", b"[::1]:1135")]}))
    with pytest.raises(HostRefused):
        guard.check(Connection({"headers": []}))
    assert HostGuard.for_bind("0.0.0.0", None) is None
    assert HostGuard.for_bind("localhost", None) is not None


async def test_the_page_is_there_on_loopback_unless_it_is_switched_off(tmp_path: Path) -> None:
    async with listening(tmp_path) as (_, client):
        assert (await client.get("/docs")).status_code == 200
    async with listening(tmp_path, docs=False) as (_, client):
        assert (await client.get("/docs")).status_code == 401


async def test_a_stop_ends_open_streams_with_a_last_word(tmp_path: Path) -> None:
    async with listening(tmp_path) as (server, _):
        token = (await server.create_api_token("t", scopes=USE, grants=Grants.everything())).token.reveal()
        client = RawClient(int(str(server.address).rpartition(":")[2]))
        message = {"role": "user", "content": "poison: sleep 0.02 " + "word " * 200}
        await client.post("/v1/chat/completions", {"model": "parrot", "messages": [message], "stream": True}, token)
        async with asyncio.timeout(20):
            await client.read_until(b'"content":')
            stopping = asyncio.create_task(server.shutdown())
            rest = await client.reader.read()
            await stopping
        client.leave()
        lines = [line for line in rest.decode().splitlines() if line.startswith("data: ")]
        assert json.loads(lines[-1][6:])["error"]["code"] == "server_shutting_down"
        assert server.status == "stopped"
