"""Whole processes of uvicorn: how they end with open streams, how they fail to start, and paths behind a proxy."""

import asyncio
import json
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.servers import ROOT, Spawned, spawned

LONG = {
    "model": "parrot", "stream": True,
    "messages": [{"role": "user", "content": "poison: sleep 0.02 " + "word " * 1500}],
}  # fmt: skip


@asynccontextmanager
async def uvicorn(name: str, folder: Path, *options: str) -> AsyncIterator[Spawned]:
    command = [sys.executable, "-m", "uvicorn", f"tests.asgi.sample_host:{name}", "--port", "0", *options]
    async with spawned(command, {"SAMPLE_FOLDER": str(folder)}) as server:
        yield server


RUNNING = r"running on (http://127\.0\.0\.1:\d+)"
AS_ANN = {"x-user": "ann"}


@pytest.mark.parametrize("name", ["installed", "mounted"])
async def test_sigterm_with_an_open_stream_ends_it_with_a_last_word_and_soon(tmp_path: Path, name: str) -> None:
    async with uvicorn(name, tmp_path) as server:
        base = await server.until(RUNNING)
        async with (
            httpx2.AsyncClient(base_url=base, timeout=30, headers=AS_ANN) as client,
            client.stream("POST", "/bodhi/v1/chat/completions", json=LONG) as response,
        ):
            lines = response.aiter_lines()
            async with asyncio.timeout(30):
                assert json.loads((await anext(lines))[6:])["choices"]
                began = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                rest = [line async for line in lines if line]
        assert json.loads(rest[-1][6:])["error"]["code"] == "server_shutting_down"
        code = await server.ends()
        assert time.monotonic() - began < 5
        output = "".join(server.lines)
        assert code in (0, -signal.SIGTERM), output
        assert "Traceback" not in output
        assert ("does not run its lifespan" in output) is (name == "mounted")


@pytest.mark.parametrize("name", ["installed", "mounted"])
async def test_sigterm_ends_a_stream_of_the_hosts_own_too(tmp_path: Path, name: str) -> None:
    async with uvicorn(name, tmp_path) as server:
        base = await server.until(RUNNING)
        async with (
            httpx2.AsyncClient(base_url=base, timeout=30) as client,
            client.stream("POST", "/own", json=LONG) as response,
        ):
            words = response.aiter_text()
            async with asyncio.timeout(25):  # the stream itself would go on for 30 s
                assert await anext(words)
                server.process.send_signal(signal.SIGTERM)
                said = "".join([word async for word in words])
        assert said.endswith("<server_shutting_down>")
        assert await server.ends() in (0, -signal.SIGTERM)
        assert "Traceback" not in "".join(server.lines)


async def test_a_failed_start_ends_the_process_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with uvicorn("alone", tmp_path / "file" / "data") as server:
        assert await server.ends() == 3
        output = "".join(server.lines)
        assert "bodhi: the data directory" in output
        assert "set data_dir" in output
        assert "Traceback" not in output


async def test_a_prefix_in_front_of_the_host_is_followed(tmp_path: Path) -> None:
    async with uvicorn("installed", tmp_path, "--root-path", "/proxy") as server:
        base = await server.until(RUNNING)
        async with httpx2.AsyncClient(base_url=base, timeout=30) as client:
            assert (await client.get("/bodhi/ping")).json() == {"message": "pong"}
            assert (await client.get("/bodhi")).status_code == 401
            url = (await client.get("/bodhi/bodhi/v1/info", headers=AS_ANN)).json()["url"]
            assert url == "/proxy/bodhi"
        server.process.send_signal(signal.SIGTERM)
        assert await server.ends() in (0, -signal.SIGTERM)


LEFT_ALONE = """
import asyncio, sys
from bodhi_asgi import BodhiApp

engine = {"runner": "echo", "isolation": "thread"}
app = BodhiApp(data_dir=sys.argv[1], models={"parrot": "x"}, demo=False, engine=engine)
hello = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}


async def main():
    bodhi = await app.ensure_started()
    print((await bodhi.chat_completion(hello, stream=False)).text, flush=True)


loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""


async def test_a_process_ends_though_nobody_closed_us(tmp_path: Path) -> None:
    """As under daphne, which runs no lifespan and cancels no tasks."""
    command = [sys.executable, "-W", "ignore", "-c", LEFT_ALONE, str(tmp_path)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(30):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert output.decode().startswith("hello there")
    assert process.returncode == 0
