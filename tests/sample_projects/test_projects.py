"""The sample projects are whole, start by the command in their READMEs, and notes are found by a model of meanings."""

import asyncio
import os
import re
import signal
from asyncio.subprocess import PIPE
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp
from notes.app import create_app
from notes.settings import Settings
from tests.engine.reading_models import PARAPHRASES, SENTENCES, meaning_model, write

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = sorted(path.parent for path in (ROOT / "sample_projects").glob("*/pyproject.toml"))


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_a_project_has_what_one_copies(project: Path) -> None:
    readme = (project / "README.md").read_text("utf-8")
    assert f"make sample NAME={project.name}\n" in readme
    assert f"docs/screenshots/{project.name}.png" in readme
    assert (project / "tests" / "test_browser.py").exists()
    assert f"({project.name}/README.md)" in (ROOT / "sample_projects" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
async def test_the_command_of_the_readme_starts_a_project_and_an_interrupt_ends_it(
    project: Path, tmp_path: Path
) -> None:
    name = project.name.rpartition("_")[2].upper()
    process = await asyncio.create_subprocess_exec(
        *("make", "--silent", "sample", f"NAME={project.name}", "ARGS=--port 0"),
        cwd=ROOT,
        env={**os.environ, "BODHI_DATA_DIR": str(tmp_path / "bodhi"), f"{name}_DATABASE": str(tmp_path / "sample.db")},
        stderr=PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    said = ""
    try:
        async with asyncio.timeout(60):
            while (started := re.search(r"running on (http://\S+)", said)) is None:
                line = await process.stderr.readline()
                assert line, said
                said += line.decode()
        async with httpx2.AsyncClient(base_url=started[1], timeout=60) as client:
            assert (await client.get("/", follow_redirects=True)).status_code == 200
            assert (await client.get("/bodhi/ping")).status_code == 200
    finally:
        os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(30):
            _, rest = await process.communicate()
    assert "Application shutdown complete" in rest.decode(), rest.decode()


def test_notes_are_found_by_what_they_mean_whatever_their_words(tmp_path: Path) -> None:
    model = write(meaning_model(), tmp_path / "meaning.gguf")
    bodhi = BodhiApp(data_dir=tmp_path / "bodhi", models={"meaning": model}, engine={"isolation": "thread"})
    settings = Settings(database=tmp_path / "notes.db", embedding_model="meaning")
    with TestClient(create_app(settings, bodhi), "http://localhost") as client:
        for sentence in SENTENCES:
            client.post("/notes", data={"title": sentence})
        for sentence, paraphrase in zip(SENTENCES, PARAPHRASES, strict=True):
            page = client.get("/", params={"q": paraphrase}).text
            nearest = re.search(r"<strong>(.+?)</strong>", page)
            assert nearest is not None
            assert nearest[1] == sentence
