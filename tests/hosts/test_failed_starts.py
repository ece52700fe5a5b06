"""A start that fails: said in a sentence, and no server goes on with a host half of which is there."""

import asyncio
import signal
import sys
from pathlib import Path

import httpx2
import pytest

from tests.hosts.matrix import AS_ANN, KINDS, SERVERS, environment_of
from tests.servers import Spawned, spawned

pytestmark = pytest.mark.timeout(400)  # several processes each, on machines that are slow

CODES = {"uvicorn": 3, "hypercorn": 0, "granian": 1}
"""What each server ends with; hypercorn's says nothing of it."""
WHY = "bodhi could not start: the data directory"


async def ended(server: str, kind: str, folder: Path) -> tuple[int, str]:
    """How a server ends, and what it says, with a host whose data cannot be anywhere."""
    (folder / kind).mkdir()
    (folder / kind / "file").write_text("")
    command = [sys.executable, "-m", *(part.format(folder=folder / kind) for part in SERVERS[server].command)]
    async with spawned(command, environment_of(kind, "install", folder / kind / "file")) as process:
        return await process.ends(), process.output


@pytest.mark.parametrize(
    ("server", "kinds"),
    [("uvicorn", KINDS[:3]), ("uvicorn", KINDS[3:]), ("hypercorn", ("starlette",)), ("granian", ("django",))],
)
async def test_a_start_that_fails_ends_the_server_and_says_why(
    server: str, kinds: tuple[str, ...], tmp_path: Path
) -> None:
    for kind, (code, output) in zip(
        kinds, await asyncio.gather(*(ended(server, kind, tmp_path) for kind in kinds)), strict=True
    ):
        assert code == CODES[server], (kind, output)
        assert output.count(WHY) == 1, (kind, output)
        if kind in ("django", "bridge"):  # the other hosts let what their lifespans raise be printed whole
            assert "Traceback" not in output, (kind, output)


async def test_a_server_without_lifespans_serves_the_host_and_says_503_below_the_mount(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", *SERVERS["daphne"].command]
    async with spawned(command, environment_of("django", "install", tmp_path / "file")) as process:
        async with httpx2.AsyncClient(base_url=f"http://{await process.until(SERVERS['daphne'].running)}") as client:
            for _ in range(2):
                assert (await client.get("/")).text == "the host's own page"
                answer = await client.get("/bodhi/v1/models", headers=AS_ANN)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
                assert str(tmp_path) not in answer.text
        await stopped(process)


async def stopped(process: Spawned) -> None:
    process.process.send_signal(signal.SIGTERM)
    await process.ends()
