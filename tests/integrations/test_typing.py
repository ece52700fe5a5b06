"""What the page of hosts says is typed is typed: mypy accepts the documented use and refuses a wrong one."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = """
from typing import assert_type

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from bodhi_asgi import Bodhi, BodhiState, Caller
from bodhi_fastapi import BodhiDep, CallerDep

app = FastAPI()
"""
RIGHT = """
async def view(request: Request[BodhiState]) -> PlainTextResponse:
    bodhi = request.state["bodhi"]
    assert_type(bodhi, Bodhi)
    models = await bodhi.for_request(request).list_models()
    return PlainTextResponse(models.data[0].id)


@app.get("/ask")
async def ask(bodhi: BodhiDep, caller: CallerDep) -> str:
    assert_type(bodhi, Bodhi)
    assert_type(caller, Caller)
    return caller.id
"""
WRONG = {
    "no such key": 'async def view(request: Request[BodhiState]) -> object:\n    return request.state["bohdi"]',
    "no such verb": 'async def view(request: Request[BodhiState]) -> object:\n    return request.state["bodhi"].cha()',
    "no such field": "async def view(caller: CallerDep) -> str:\n    return caller.ident",
    "not awaited": """
async def view(request: Request[BodhiState]) -> str:
    return request.state["bodhi"].list_models().data[0].id
""",
}


def checked(folder: Path, *sources: str) -> list[str]:
    """What mypy says of each, in one run."""
    paths = []
    for number, source in enumerate(sources):
        paths.append(folder / f"user_code_{number}.py")
        paths[-1].write_text(HEAD + source)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *map(str, paths)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    lines = done.stdout.splitlines()
    return ["\n".join(line for line in lines if path.name in line and "error:" in line) for path in paths]


@pytest.mark.timeout(600)  # where nobody has run mypy before, it reads everything
def test_the_state_and_the_dependencies_are_typed(tmp_path: Path) -> None:
    right, *wrong = checked(tmp_path, RIGHT, *WRONG.values())
    assert right == ""
    errors = dict(zip(WRONG, wrong, strict=True))
    assert "bohdi" in errors["no such key"]
    assert "cha" in errors["no such verb"]
    assert "ident" in errors["no such field"]
    assert "Coroutine" in errors["not awaited"]
