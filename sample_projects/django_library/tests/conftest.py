"""What the tests stand on: a server as its reader starts it, and a real browser."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

expect.set_options(timeout=60_000)  # a busy machine is no error

PROJECT = Path(__file__).parents[1]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass(frozen=True)
class Library:
    """A library that runs, and the password that it made for its first librarian."""

    url: str
    password: str


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """An environment in which a library has a folder to itself."""
    own = {"BODHI_DATA_DIR": str(tmp_path / "bodhi"), "LIBRARY_DATABASE": str(tmp_path / "library.db")}
    return {**os.environ, **own}


@pytest.fixture
def served(variables: dict[str, str]) -> Iterator[Callable[..., Library]]:
    """Starts ``python -m library`` with these variables."""
    with ExitStack() as running:

        def start(**more: str) -> Library:
            server = subprocess.Popen(
                [sys.executable, "-m", "library", "--port", "0"],
                cwd=PROJECT,
                env={**variables, **more},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            running.callback(stop, server)
            assert server.stdout is not None
            assert server.stderr is not None
            password = server.stdout.readline().split()[-1:]
            for line in server.stderr:
                if found := re.search(r"running on (http://\S+)", line):
                    return Library(found[1], "".join(password))
            raise AssertionError("the server ended before it had started")

        yield start


def stop(server: subprocess.Popen[str]) -> None:
    server.terminate()
    _, said = server.communicate(timeout=60)
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
