"""From before the import to after the end: a whole process is as it was, under every host and with either engine."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.asgi.guests import BRIDGE, KINDS
from tests.servers import ROOT

pytestmark = pytest.mark.timeout(400)  # processes that import everything, on machines that are slow

MOUNTS = {"litestar": 100}
"""How often each host is made and we are mounted in it; Litestar takes fifty times as long as others to make one."""
BLOCKS_OF_A_MOUNT = 1.0
BLOCKS_OF_A_LIFE = 300.0
"""Pieces of memory that each may leave: what caches and names have not seen yet. Those of an application that is
forgotten are over a hundred, and those of its services over five hundred."""


async def said_by(script: str, *arguments: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tests.asgi.{script}", *arguments),
        cwd=ROOT,
        env=dict(os.environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize("kind", [*KINDS, BRIDGE])
async def test_nothing_of_the_process_is_changed_and_nothing_is_kept(kind: str, isolation: str, tmp_path: Path) -> None:
    said = await said_by("guest_script", kind, isolation, str(tmp_path))
    assert {step: changes for step, changes in said["changed"].items() if changes} == {}
    assert len(said["changed"]) == 19, "the import, and six lives of three steps"
    assert said["kept"] == {"imported": {}, "once": {}, "again and again": {}}
    # Libraries register an exit function or two when they are first imported; none is added by each life.
    assert said["at exit"] <= 4


@pytest.mark.parametrize("kind", [*KINDS, BRIDGE])
async def test_a_thousand_mounts_and_some_lives_leave_nothing_behind(kind: str, tmp_path: Path) -> None:
    said = await said_by("mounts_script", kind, str(tmp_path), str(MOUNTS.get(kind, 1000)), "16", "8")
    for what, bound in (("mounts", BLOCKS_OF_A_MOUNT), ("lives", BLOCKS_OF_A_LIFE), ("engines", BLOCKS_OF_A_LIFE)):
        assert (said[what]["kept"], said[what]["alive"]) == ({}, 0), said
        assert said[what]["blocks"] < bound, said
