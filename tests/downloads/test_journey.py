"""From an empty machine to an answer: pulled at the command line, killed on the way, asked over HTTP and directly."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bodhi_asgi import BodhiApp, BodhiServer, Grants
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.downloads.conftest import DEMO
from tests.hub.server import Fault, Hub
from tests.servers import Spawned, serving, spawned

MODEL = f"{DEMO}:Q8_0"
SIZE = DEMO_MODEL_PATH.stat().st_size
CUT = 1_500_000


@pytest.fixture
def environment(tmp_path: Path, endpoint: str) -> dict[str, str]:
    return {
        "BODHI_DATA_DIR": str(tmp_path / "data"),
        "BODHI_HUB__ENDPOINT": endpoint,
        "BODHI_HUB__CACHE_DIR": str(tmp_path / "cache"),
    }


def bodhi(environment: dict[str, str], *arguments: str) -> Any:
    return spawned([sys.executable, "-m", "bodhi_asgi", *arguments], environment)


async def ended(process: Spawned) -> int:
    """Its exit code; a busy machine takes its time to start a program."""
    async with asyncio.timeout(120):
        code = await process.process.wait()
    await process.kill_all()  # which reads what it has printed to its end
    return code


def fetched(hub: Hub) -> int:
    """Bytes of the model that were sent, without those that were looked at for the choice."""
    return sum(sum(seen.sent) for seen in hub.requests("cdn"))


async def until_half(process: Spawned) -> None:
    async with asyncio.timeout(120):
        while True:
            now = json.loads(await process.until(r"^(\{.*\})"))
            if now["state"] == "running" and now["downloaded_bytes"] >= CUT - 200_000:
                return


async def test_a_model_is_pulled_at_the_command_line_and_answers_over_http_and_directly(
    hub: Hub, environment: dict[str, str], settings: dict[str, Any]
) -> None:
    async with bodhi(environment, "pull", DEMO) as process:
        assert await ended(process) == 0, process.output
        assert f"{MODEL} is here: 1 file, 2 MB." in process.output
    async with bodhi(environment, "pull", MODEL) as process:
        assert await ended(process) == 0, process.output
    question = {"model": MODEL, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    app = BodhiApp(data_dir=settings["data_dir"], hub=settings["hub"], demo=False, engine={"isolation": "thread"})
    async with serving(app) as base, httpx2.AsyncClient(base_url=base, timeout=60) as client:
        direct = await app.server.chat_completion(question)
        assert "Paris" in direct.choices[0].message.content
        made = await app.server.create_api_token("user", grants=Grants.everything())
        headers = {"Authorization": f"Bearer {made.token.reveal()}"}
        answer = await client.post("/v1/chat/completions", json=question, headers=headers)
        assert "Paris" in answer.json()["choices"][0]["message"]["content"]


async def test_a_killed_pull_goes_on_at_its_byte(hub: Hub, environment: dict[str, str]) -> None:
    hub.fault("cdn", Fault(hang_after=CUT))
    async with bodhi(environment, "pull", MODEL, "--json") as process:
        await until_half(process)
        await process.kill_all()
    async with bodhi(environment, "pull", MODEL, "--json") as process:
        assert await ended(process) == 0, process.output
    first, second = hub.requests("cdn")
    assert (first.begin, second.begin > 0) == (0, True)
    assert fetched(hub) <= SIZE + (CUT - second.begin)
    assert CUT - second.begin < 200_000


async def test_ctrl_c_pauses_and_says_how_to_go_on(hub: Hub, environment: dict[str, str]) -> None:
    hub.fault("cdn", Fault(hang_after=CUT))
    async with bodhi(environment, "pull", MODEL, "--json") as process:
        await until_half(process)
        process.process.send_signal(signal.SIGINT)
        assert await ended(process) == 130
        told = [json.loads(line) for line in process.lines if line.startswith("{")]
        assert told[-1]["state"] == "paused"
    hub.mend()
    async with bodhi(environment, "pull", MODEL) as process:
        assert await ended(process) == 0, process.output
    assert [seen.begin for seen in hub.requests("cdn")] == [0, CUT]


async def test_two_servers_and_a_command_line_never_fetch_a_file_twice(
    hub: Hub, environment: dict[str, str], settings: dict[str, Any]
) -> None:
    async with BodhiServer(**settings) as one, BodhiServer(**settings) as two:
        pulls = [await one.pull_model(MODEL), await two.pull_model(MODEL)]
        async with bodhi(environment, "pull", MODEL) as process:
            await asyncio.gather(*(pull.wait() for pull in pulls))
            assert await ended(process) == 0, process.output
    assert fetched(hub) == SIZE


async def test_search_finds_what_can_be_pulled(hub: Hub, environment: dict[str, str]) -> None:
    async with bodhi(environment, "search", "demo") as process:
        assert await ended(process) == 0, process.output
        assert DEMO in process.output


@pytest.mark.parametrize(("reference", "code"), [("nothing", 2), ("acme/none-GGUF", 3)])
async def test_what_cannot_be_pulled_ends_with_its_exit_code(
    hub: Hub, environment: dict[str, str], reference: str, code: int
) -> None:
    async with bodhi(environment, "pull", reference) as process:
        assert await ended(process) == code, process.output
        assert "Error: " in process.output
