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

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Page, async_playwright, expect
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp
from bodhi_asgi.testing import Script
from helpdesk.app import create_app
from helpdesk.settings import Settings

expect.set_options(timeout=60_000)  # a busy machine is no error

PROJECT = Path(__file__).parents[1]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def bodhi_app() -> BodhiApp:
    """The helpdesk's own server. The fixture ``scripted`` of bodhi_asgi.testing lets a script speak for its models."""
    return BodhiApp()


@pytest.fixture
def app(tmp_path: Path, bodhi_app: BodhiApp, scripted: Script) -> FastAPI:
    """The helpdesk, whose model says what a test has written down."""
    return create_app(Settings(database=tmp_path / "helpdesk.db"), bodhi_app)


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
