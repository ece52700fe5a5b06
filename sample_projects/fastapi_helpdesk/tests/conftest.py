"""What the tests stand on: a helpdesk in a fresh folder, a server as its reader starts it, and a real browser."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Page, async_playwright, expect
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp
from bodhi_fastapi import bodhi_of_host
from helpdesk.app import create_app
from helpdesk.settings import Settings

expect.set_options(timeout=60_000)  # a busy machine is no error

PROJECT = Path(__file__).parents[1]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Script:
    """Stands in for the verbs of bodhi: the model closes ticket 2, and tells what came of it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def chat_completion(self, request: dict[str, Any], *, stream: bool) -> Any:
        last = request["messages"][-1]
        if last["role"] == "tool":
            self.told.append(last["content"])
            return Chunks(content="Done.")
        function = SimpleNamespace(name="close_ticket", arguments='{"number": 2}')
        return Chunks(tool_calls=[SimpleNamespace(index=0, id="call_1", function=function)])


class Chunks:
    """One answer in two chunks, in the shape of OpenAI's."""

    def __init__(self, **delta: Any) -> None:
        whole = {"content": None, "reasoning_content": None, "tool_calls": None, **delta}
        end = "tool_calls" if delta.get("tool_calls") else "stop"
        choice = SimpleNamespace(delta=SimpleNamespace(**whole), finish_reason=end)
        usage = SimpleNamespace(prompt_tokens=1, completion_tokens=1)
        self._chunks = [
            SimpleNamespace(choices=[choice], usage=None),
            SimpleNamespace(choices=[], usage=usage),
        ]

    def __aiter__(self) -> "Chunks":
        return self

    async def __anext__(self) -> Any:
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)

    async def aclose(self) -> None:
        self._chunks.clear()


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    """The helpdesk with an engine that says every question again."""
    bodhi = BodhiApp(data_dir=tmp_path / "bodhi", engine={"runner": "echo", "isolation": "thread"})
    return create_app(Settings(database=tmp_path / "helpdesk.db"), bodhi)


@pytest.fixture
def script(app: FastAPI) -> Script:
    """Has a script speak in the place of the model."""
    script = Script()
    app.dependency_overrides[bodhi_of_host] = lambda: script
    return script


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, "http://localhost") as client:
        yield client


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    """Serves this helpdesk, script and all, on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done(), "the server ended before it had started"
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts ``python -m helpdesk`` with these variables; its address."""
    with ExitStack() as running:

        def start(**variables: str) -> str:
            folder = tmp_path / "home"
            environment = {"BODHI_DATA_DIR": str(folder / "bodhi"), "HELPDESK_DATABASE": str(folder / "helpdesk.db")}
            folder.mkdir()
            server = subprocess.Popen(
                [sys.executable, "-m", "helpdesk", "--port", "0"],
                cwd=PROJECT,
                env={**os.environ, **environment, **variables},
                stderr=subprocess.PIPE,
                text=True,
            )
            running.callback(stop, server)
            assert server.stderr is not None
            for line in server.stderr:
                if found := re.search(r"running on (http://\S+)", line):
                    return found[1]
            raise AssertionError("the server ended before it had started")

        yield start


def stop(server: subprocess.Popen[str]) -> None:
    server.terminate()
    _, said = server.communicate(timeout=30)
    assert "Traceback" not in said, said


@pytest.fixture
async def browser() -> AsyncIterator[Page]:
    """A page of a real browser, in which an error of a script or of the policy fails the test."""
    if BROWSER is None and "CI" not in os.environ:
        pytest.skip("no Chromium here: apt-get install chromium")
    async with async_playwright() as playwright:
        # Chromium's sandbox does not work for root, as whom tests run in containers.
        chromium = await playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = await chromium.new_page()
        page.set_default_timeout(60_000)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        yield page
        await chromium.close()
    assert complaints == []
