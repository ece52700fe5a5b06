"""What the page of deployment says to copy is understood by those who read it, and nginx leads to the mount."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.docs.pages import ROOT
from tests.servers import spawned

PAGE = (ROOT / "docs" / "deployment.md").read_text("utf-8")


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    unit = tmp_path / "myapp.service"
    unit.write_text(block("ini").replace("/srv/myapp/.venv/bin/uvicorn", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "myapp.service" not in done.stderr, done.stderr


@pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx here")
async def test_nginx_takes_the_prefix_away_and_uvicorn_is_told_of_it(tmp_path: Path) -> None:
    listening = tmp_path / "socket"
    app = "examples.starlette_app:app"
    command = [sys.executable, "-m", "uvicorn", app, "--port", "0", "--root-path", "/tools"]
    async with spawned(command, {"BODHI_DATA_DIR": str(tmp_path / "data")}) as server:
        address = await server.until(r"running on (http://\S+)")
        location = block("nginx").replace("http://127.0.0.1:8000", address)
        temporary = "".join(
            f"{kind}_temp_path {tmp_path};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
            f"http {{ access_log off; {temporary} server {{ listen unix:{listening}; {location} }} }}\n"
        )
        nginx = await asyncio.create_subprocess_exec(
            *("nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")), env=os.environ
        )
        try:
            transport = httpx2.AsyncHTTPTransport(uds=str(listening))
            async with httpx2.AsyncClient(base_url="http://localhost", transport=transport, timeout=60) as client:
                async with asyncio.timeout(30):
                    while True:  # nginx says nothing when it listens
                        assert nginx.returncode is None
                        try:
                            answer = await client.get("/tools/bodhi/ping")
                            break
                        except httpx2.ConnectError:
                            await asyncio.sleep(0.05)
                assert answer.status_code == 200
                assert (await client.get("/tools/bodhi/v1/models")).status_code == 401
        finally:
            nginx.terminate()
            async with asyncio.timeout(10):
                await nginx.wait()
