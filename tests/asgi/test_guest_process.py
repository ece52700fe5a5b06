"""From before the import to after the end: a whole process is as it was, under every host and with either engine."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize("host", ["starlette", "fastapi", "django"])
async def test_nothing_of_the_process_is_changed_and_nothing_is_kept(host: str, isolation: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.asgi.guest_script", host, isolation, str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=dict(os.environ), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    said = json.loads(output)
    assert said == {"changed": {}, "kept": {}, "at exit": said["at exit"]}
    # Libraries register an exit function or two when they are first imported; none is added by each life.
    assert said["at exit"] <= 4
