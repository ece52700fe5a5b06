"""``bodhi serve`` as a process: it listens, drains its streams when told to stop, and says what is in its way."""

import asyncio
import json
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from tests.cli.conftest import Bodhi

TALK = " ".join(f"word{number}" for number in range(30_000))


@asynccontextmanager
async def served(
    command: list[str], environment: dict[str, str], *options: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx2.AsyncClient]]:
    process = await asyncio.create_subprocess_exec(
        *command, "serve", "--port", "0", *options, env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            said = ""
            while (address := re.search(r"Serving on (http://\S+)", said)) is None:
                line = await process.stderr.readline()
                assert line, said
                said += line.decode()
        async with httpx2.AsyncClient(base_url=address[1], timeout=60) as client:
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_stream_gets_its_last_word_and_the_process_ends(
    command: list[str], environment: dict[str, str], bodhi: Bodhi
) -> None:
    environment["BODHI_ENGINE__N_CTX"] = "200000"
    token = await asyncio.to_thread(lambda: bodhi("token", "create", "--name", "x", "--all-models").stdout.strip())
    async with served(command, environment, "--model", "echo=echo", "--no-demo") as (process, client):
        headers = {"Authorization": f"Bearer {token}"}
        models = (await client.get("/v1/models", headers=headers)).json()
        assert [model["id"] for model in models["data"]] == ["echo", "parrot"]
        body = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": TALK}]}
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
            lines = answer.aiter_lines()
            async for line in lines:
                if "word3" in line:
                    break
            process.send_signal(signal.SIGTERM)
            told = time.monotonic()
            rest = [line async for line in lines if line.startswith("data: ")]
            assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "server_shutting_down"
        async with asyncio.timeout(20):
            assert await process.wait() == 0
        assert time.monotonic() - told < 5


async def test_ctrl_c_is_a_clean_end(command: list[str], environment: dict[str, str]) -> None:
    async with served(command, environment) as (process, client):
        assert (await client.get("/ping")).status_code == 200
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await process.wait() == 0


def test_a_taken_port_is_named(bodhi: Bodhi) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = bodhi("serve", "--port", str(port))
    assert result.exit_code == 5
    assert str(port) in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_model_without_a_path_is_a_usage_error(bodhi: Bodhi) -> None:
    result = bodhi("serve", "--model", "small")
    assert result.exit_code == 2
    assert "'small' is not of the form name=path" in result.stderr


def test_an_ipv6_address_needs_no_brackets(bodhi: Bodhi) -> None:
    result = bodhi("serve", "--host", "2001:db8::1", "--port", "1135")
    assert result.exit_code == 5
    assert "2001:db8::1" in result.stderr
