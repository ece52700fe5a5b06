"""Every Python block in the README and the documentation compiles, and those marked so are run for real."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bodhi_asgi import BodhiApp, Grants
from tests.behaviour.doors import django_application
from tests.docs.pages import BLOCK, ROOT, Block, blocks
from tests.servers import serving


@pytest.fixture(autouse=True)
def _own_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_DATA_DIR", str(tmp_path / "data"))


def named(block: Block) -> str:
    return block.name


@pytest.mark.parametrize("block", blocks(), ids=named)
def test_block_compiles(block: Block) -> None:
    compile(block.code, block.name, "exec")


@pytest.mark.parametrize("block", blocks("app"), ids=named)
async def test_application_in_a_block_answers_below_its_mount_and_denies_by_default(block: Block) -> None:
    if "django" in block.how:
        django_application()
    names: dict[str, Any] = {"__name__": "block"}
    exec(compile(block.code, block.name, "exec"), names)
    app = names.get("app") or names["application"]
    async with serving(app) as url, httpx2.AsyncClient(base_url=url, timeout=30) as client:
        assert (await client.get("/bodhi/ping")).status_code == 200
        assert (await client.get("/bodhi/v1/models")).status_code == 401


def test_each_host_takes_at_most_five_lines() -> None:
    page = (ROOT / "docs" / "hosts.md").read_text("utf-8")
    first = {section.partition("\n")[0]: BLOCK.search(section) for section in page.split("\n## ")[1:]}
    for host in ("FastAPI", "Starlette", "Litestar", "Quart", "Django"):
        block = first[host]
        assert block is not None
        assert (block["how"] or "").startswith("app"), "it is run"
        assert len([line for line in block["code"].splitlines() if line]) <= 5, host


@pytest.mark.parametrize("block", blocks("script"), ids=named)
async def test_script_in_a_block_runs(block: Block) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", block.code, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(90):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert not errors, errors.decode()
    assert output or "print" not in block.code


@pytest.mark.parametrize("block", blocks("client"), ids=named)
async def test_client_in_a_block_gets_an_answer(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    app = BodhiApp(engine={"isolation": "thread"})
    async with serving(app) as url:
        created = await app.server.create_api_token("docs", grants=Grants.everything())
        code = block.code.replace("http://127.0.0.1:1135", url).replace("sk-bodhiapp_...", created.token.reveal())
        await asyncio.to_thread(exec, compile(code, block.name, "exec"), {"__name__": "block"})
    assert capsys.readouterr().out.strip()
