"""Connections and bodies: received where the reader wants it, whole or told why not, in whatever way it is framed."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpcore2
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi import outbound
from bodhi_asgi.connections import ROOM_BYTES, Block, connected
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import HubUnreachable
from bodhi_asgi.hub.fetch import describe
from bodhi_asgi.hub.transport import HubTransport
from bodhi_asgi.hub.types import HubFile
from bodhi_asgi.outbound import Body
from tests.hub.server import Hub, Place
from tests.hub.test_addresses import self_signed
from tests.servers import serving

DATA = bytes(range(256)) * 4096
"""A megabyte."""
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def speaking(serve: Serve) -> AsyncIterator[int]:
    """A server that does ``serve`` with each connection and closes it; its port."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(once, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def answering(*parts: bytes) -> Serve:
    """Read a request, and send this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"".join(parts))
        await writer.drain()

    return serve


@asynccontextmanager
async def answer_of(port: int) -> AsyncIterator[httpx2.Response]:
    async with (
        outbound.client(lambda *_: True, timeout_s=60, user_agent="tests") as client,
        client.stream("GET", f"http://127.0.0.1:{port}/") as response,
    ):
        yield response


async def received(response: httpx2.Response, size: int) -> bytes:
    """All of a body, in blocks of ``size``."""
    found = bytearray()
    async with aclosing(Body(response)) as body:
        block = Block(size)
        while True:
            await body.receive(block, 60)
            if not block.filled:
                return bytes(found)
            found += block.data
            block.clear()


def chunked(data: bytes) -> bytes:
    pieces = [data[begin : begin + 50_000] for begin in range(0, len(data), 50_000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1000, 300_000, 2_000_000])
@pytest.mark.parametrize(
    "parts",
    [
        (HEAD % len(DATA), DATA),
        (HEAD % len(DATA), DATA, b"HTTP/1.1 200 OK\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunked(DATA)),
        (b"HTTP/1.1 200 OK\r\n\r\n", DATA),
    ],
    ids=["by its length", "with something behind", "in chunks", "to the end of the connection"],
)
async def test_a_body_is_received_whole_however_it_is_framed(parts: tuple[bytes, ...], size: int) -> None:
    async with speaking(answering(*parts)) as port, answer_of(port) as response:
        assert await received(response, size) == DATA


async def test_a_body_of_a_known_length_does_not_pass_through_the_client() -> None:
    async with speaking(answering(HEAD % len(DATA), DATA)) as port, answer_of(port) as response:
        assert await received(response, len(DATA)) == DATA
        assert response.num_bytes_downloaded <= ROOM_BYTES


async def test_an_encrypted_body_is_received_the_same_way(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    self_signed("localhost", key, certificate)
    hub = Hub()
    hub.add("owner/model", {"model.gguf": DATA})
    async with (
        serving(Place(hub, "hub"), ssl_keyfile=str(key), ssl_certfile=str(certificate)) as address,
        outbound.client(lambda *_: True, timeout_s=60, user_agent="tests") as client,
    ):
        trusting = ssl.create_default_context(cafile=str(certificate))
        client._transport._pool._ssl_context = trusting  # type: ignore[attr-defined]
        url = f"https://localhost:{httpx2.URL(address).port}/owner/model/resolve/main/model.gguf"
        for size in (7000, 2_000_000):
            async with client.stream("GET", url) as response:
                assert await received(response, size) == DATA
                assert response.num_bytes_downloaded <= ROOM_BYTES


@pytest.mark.parametrize("sent", [0, 10, 100_000])
async def test_a_body_that_ends_before_its_end_is_no_body(sent: int) -> None:
    async with speaking(answering(HEAD % len(DATA), DATA[:sent])) as port, answer_of(port) as response:
        with pytest.raises(httpx2.RemoteProtocolError):
            await received(response, 1000)


async def test_what_has_come_stays_in_the_block_when_no_more_does() -> None:
    asked = asyncio.Event()

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD % len(DATA) + DATA[:5])
        await asked.wait()

    async with speaking(hangs) as port, answer_of(port) as response, aclosing(Body(response)) as body:
        block = Block(1000)
        await body.receive(block, 0.01)
        assert bytes(block.data) == DATA[:5]
        block.clear()
        body._timeout_s = 0.05  # of what never comes
        with pytest.raises(httpx2.ReadTimeout):
            await body.receive(block, 0.01)
        assert block.filled == 0
        asked.set()


async def test_who_leaves_finds_in_the_block_what_had_come() -> None:
    left = asyncio.Event()

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD % len(DATA) + DATA[:5])
        await left.wait()

    async with speaking(hangs) as port, answer_of(port) as response, aclosing(Body(response)) as body:
        block = Block(1000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await body.receive(block, 60)
        assert bytes(block.data) == DATA[:5]
        left.set()


async def test_headers_that_drip_without_an_end_are_left() -> None:
    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"x: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with speaking(drips) as port:
        access = HubAccess(f"http://127.0.0.1:{port}", answer_timeout_s=0.2, stall_timeout_s=0.2, retries=0)
        transport = HubTransport(access)
        with pytest.raises(HubUnreachable, match="in time"):
            await describe(transport, HubFile("owner/model", "model.gguf"))
        await transport.aclose()


async def test_who_speaks_before_the_encryption_is_left() -> None:
    async def eager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        await reader.read()

    async with speaking(eager) as port:
        connection = await connected("127.0.0.1", port, 60, None, ())
        assert await connection.read(1) == b"H"
        with pytest.raises(httpcore2.ConnectError, match="before"):
            await connection.start_tls(ssl.create_default_context(), "localhost", 60)


async def test_a_connection_tells_when_it_is_no_use_any_longer() -> None:
    async def brief(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)

    async with speaking(brief) as port:
        connection = await connected("127.0.0.1", port, 60, "127.0.0.1", ())
        assert not connection.get_extra_info("is_readable")
        assert connection.get_extra_info("server_addr") == ("127.0.0.1", port)
        await connection.write(b"x", 60)
        assert await connection.read(1, 60) == b""
        assert connection.get_extra_info("is_readable")
        with pytest.raises(httpcore2.WriteError):
            await connection.write(b"x", 60)
        await connection.aclose()


async def test_a_reset_is_an_error_of_reading() -> None:
    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()

    async with speaking(resets) as port:
        connection = await connected("127.0.0.1", port, 60, None, [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])
        await connection.write(b"x", 60)
        with pytest.raises(httpcore2.ReadError):
            await connection.receive(Block(10), 60, 60)
        await connection.aclose()


@given(st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 40)), max_size=30))
def test_a_block_gives_back_in_order_what_was_put_into_it(steps: list[bytes | int]) -> None:
    block, expected = Block(64), b""
    for step in steps:
        if isinstance(step, bytes):
            expected += step[: block.put(memoryview(step))]
        else:
            assert block.take(step) == expected[:step]
            expected = expected[step:]
        assert bytes(block.data) == expected
        assert block.is_full == (len(expected) == 64)
