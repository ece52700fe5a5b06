"""The journey of the page about models, from an empty machine to an answer, word for word, against a hub of our own."""

import asyncio
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiApp, Grants
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.docs.pages import ROOT, blocks
from tests.hub.server import Hub, serving_hub
from tests.servers import serving

STEP = re.compile(r"```sh\n(?P<command>bodhi .*?)\n```\n\n```text\n(?P<output>.*?)```", re.DOTALL)


async def bodhi(folder: Path, command: str) -> str:
    """What a command prints."""
    arguments = shlex.split(command)[1:]
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bodhi_asgi", *arguments, cwd=folder, stdin=nothing, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(120):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_the_journey_is_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "models.md").read_text("utf-8")
    journey = page.partition("## From an empty machine")[2].partition("\n## ")[0]
    recipe = re.search(r"```toml\n(.*?)```", journey, re.DOTALL)
    assert recipe is not None
    (tmp_path / "guide.toml").write_text(recipe[1])
    hub = Hub()
    hub.add("acme/capitals-GGUF", {"capitals-Q8_0.gguf": DEMO_MODEL_PATH})
    async with serving_hub(hub) as endpoint:
        for name, value in (
            ("BODHI_HUB__ENDPOINT", endpoint),
            ("BODHI_DATA_DIR", str(tmp_path / "data")),
            ("BODHI_HUB__CACHE_DIR", str(tmp_path / "cache")),
            ("BODHI_ENGINE__ISOLATION", "thread"),
            ("PYTHONPATH", str(ROOT)),
        ):
            monkeypatch.setenv(name, value)
        steps = STEP.findall(journey)
        assert len(steps) == 3
        for command, output in steps:
            assert await bodhi(tmp_path, command) == output
        direct, client, card = (names_of(block.name, block.code) for block in blocks("journey"))
        answer = await direct["ask"]()
        assert await card["fits"]() == ("Q8_0", 0, True)
        app = BodhiApp()
        async with serving(app) as base:
            made = await app.server.create_api_token("docs", grants=Grants.everything())
            said = await asyncio.to_thread(client["ask"], f"{base}/v1", made.token.reveal())
    assert answer == said == steps[-1][1].strip()


def names_of(name: str, code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "block"}
    exec(compile(code, name, "exec"), names)
    return names
