"""What the tests stand on: notes in a fresh folder, a server as its reader starts it, and a real browser."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect
from starlette.applications import Starlette
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp
from bodhi_asgi.testing import Script
from notes.app import create_app
from notes.settings import Settings

expect.set_options(timeout=60_000)  # a busy machine is no error

PROJECT = Path(__file__).parents[1]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def bodhi_app() -> BodhiApp:
    """The notes' own server. The fixture ``scripted`` of bodhi_asgi.testing lets a script speak for its models."""
    return BodhiApp()


@pytest.fixture
def app(tmp_path: Path, bodhi_app: BodhiApp, scripted: Script) -> Starlette:
    """The notes, whose models say what a test has written down, and give texts with words in common near vectors."""
    return create_app(Settings(database=tmp_path / "notes.db", embedding_model="demo"), bodhi_app)


@pytest.fixture
def client(app: Starlette) -> Iterator[TestClient]:
    with TestClient(app, "http://localhost") as client:
        yield client


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts ``python -m notes`` with these variables; its address."""
    with ExitStack() as running:

        def start(**variables: str) -> str:
            folder = tmp_path / "home"
            environment = {"BODHI_DATA_DIR": str(folder / "bodhi"), "NOTES_DATABASE": str(folder / "notes.db")}
            folder.mkdir()
            server = subprocess.Popen(
                [sys.executable, "-m", "notes", "--port", "0"],
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
