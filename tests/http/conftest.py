"""A mounted application on a real server, a token of each kind, and a raw client that can vanish."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bodhi_asgi import BodhiApp, Caller, Grants, Scope
from tests.servers import serving

USE = (Scope.MODELS_READ, Scope.INFERENCE)


@dataclass
class Site:
    """A running server and a way to talk to it."""

    app: BodhiApp
    base: str
    client: httpx2.AsyncClient

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    async def token(self, *scopes: Scope, models: tuple[str, ...] = ("parrot",)) -> str:
        created = await self.app.server.create_api_token("t", scopes=scopes, grants=Grants(models=frozenset(models)))
        return created.token.reveal()

    async def running(self) -> tuple[int, int, int]:
        stats = (await self.app.server.services.engines.stats()).get("parrot")
        return (stats.running, stats.waiting, stats.slots_used) if stats else (0, 0, 0)

    async def is_at_work(self, requests: int = 1) -> None:
        """Wait until so many requests run in the engine."""
        async with asyncio.timeout(20):
            while (await self.running())[0] < requests:
                await asyncio.sleep(0.005)

    async def becomes_idle(self) -> None:
        """Wait until no request is in the engine."""
        async with asyncio.timeout(20):
            while await self.running() != (0, 0, 0):
                await asyncio.sleep(0.005)


def user(connection: Any) -> Caller | None:
    """A host's users by a header, as a session would name them."""
    name = connection.headers.get("x-user")
    if not name:
        return None
    manages = (Scope.TOKENS_READ, Scope.TOKENS_WRITE, Scope.ENGINES_WRITE, Scope.MODELS_WRITE)
    return Caller.user(name, scopes=(*USE, *manages))


@asynccontextmanager
async def site(folder: Path, server: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Site]:
    engine = {"runner": "echo", "isolation": "thread", "n_ctx": 4096, "slots": 4}
    settings = {"models": {"parrot": "x"}, "demo": False, "docs": True, "identity": user, "engine": engine, **settings}
    app = BodhiApp(data_dir=folder, **settings)
    async with serving(app, **(server or {})) as base, httpx2.AsyncClient(base_url=base, timeout=30) as client:
        yield Site(app, base, client)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as opened:
        yield opened


@pytest.fixture
def app_without_server(tmp_path: Path) -> BodhiApp:
    """An application that nobody serves."""
    engine = {"runner": "echo", "isolation": "thread", "n_ctx": 256, "slots": 4}
    return BodhiApp(data_dir=tmp_path, models={"parrot": "x"}, demo=False, engine=engine)


class RawClient:
    """A socket that speaks HTTP by hand, so that it can leave in the middle, politely or not."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def post(self, path: str, body: dict[str, Any], token: str) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        data = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        self.writer.write(head.encode() + data)
        await self.writer.drain()

    async def read_until(self, wanted: bytes) -> bytes:
        return await self.reader.readuntil(wanted)

    def leave(self) -> None:
        """Close as a client does that has read enough."""
        self.writer.close()

    def vanish(self) -> None:
        """Reset the connection."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
