"""What stays where there are no locks, links and limits of POSIX: everything but engines in processes of their own."""

import asyncio
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def test_without_posix_a_server_runs_in_threads_and_refuses_engines_in_processes(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.engine.without_locks", str(tmp_path)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(90):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert output.decode().splitlines() == [
        "hello",
        "completed",
        "hello",
        "model_file_not_removable: 'model-Q8_0.gguf' cannot be removed (Operation not supported)",
        "configuration_invalid: engine.isolation is 'process', which this system has no locks for: Windows is not "
        "supported in it yet; set engine.isolation to 'thread'",
    ]
