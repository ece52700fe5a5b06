"""``bodhi serve``, the host of our own: it too hears clients that go, and ends soon, with a last word."""

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.hosts.matrix import Door, Figures, Server, a_client_that_goes_is_heard, in_time, it_ends_with_a_last_word
from tests.servers import ROOT, spawned

pytestmark = pytest.mark.timeout(400)  # several processes each, on machines that are slow

SERVE = Server(("serve", "--port", "0", "--no-demo"), r"Serving on (http://\S+)")
SETTINGS = {
    "BODHI_MODELS": '{"parrot": "x"}',
    "BODHI_ENGINE__RUNNER": "poison",
    "BODHI_ENGINE__N_CTX": "16384",
    "BODHI_ENGINE__SLOTS": "4",
    "BODHI_ENGINE__LINGER_S": "0",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class OwnDoor(Door):
    """The same, where only tokens are let in and there are no pages of a host."""

    chat: str = "/v1/chat/completions"

    async def runs(self) -> bool:
        answer = await self.client.get("/bodhi/v1/engines", headers=dict(self.headers))
        return any(engine["running"] or engine["waiting"] for engine in answer.json()["data"])


async def printed(*arguments: str, environment: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bodhi_asgi", *arguments),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return output.decode().strip()


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_a_whole_life_of_our_own_server(isolation: str, tmp_path: Path) -> None:
    async def live(folder: Path) -> Figures:
        environment = {**SETTINGS, "BODHI_DATA_DIR": str(folder / "data"), "BODHI_ENGINE__ISOLATION": isolation}
        create = ("token", "create", "--name", "x", "--all-models", "--scope", "power_user")
        token = await printed(*create, environment=environment)
        began_s = time.monotonic()
        async with spawned([sys.executable, "-m", "bodhi_asgi", *SERVE.command], environment) as process:
            address = await process.until(SERVE.running)
            started_s = time.monotonic() - began_s
            async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
                door = OwnDoor(client, headers={"Authorization": f"Bearer {token}"})
                cancelled_s = await a_client_that_goes_is_heard(door)
                last_word_s, ended_s = await it_ends_with_a_last_word(process, door)
        assert process.process.returncode == 0, process.output
        assert "Traceback" not in process.output
        return Figures(started_s, cancelled_s, last_word_s, ended_s)

    await in_time(SERVE, tmp_path, live)
