"""The engine processes of a machine, seen from outside: by the lock each holds and by what it announces."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path


def holders(root: Path) -> dict[str, set[int]]:
    """Processes that have a lock file below ``root`` open, by the file: the engines, and candidates as they look."""
    found: dict[str, set[int]] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            links = [str(descriptor.readlink()) for descriptor in (process / "fd").iterdir()]
        except OSError:
            continue
        for link in links:
            if link.endswith(".lock") and link.startswith(str(root)):
                found.setdefault(link, set()).add(int(process.name))
    return found


def announced(root: Path) -> dict[str, int]:
    """The pid of each model's engine, as it announced itself, while it holds its lock."""
    held = holders(root)
    found = {}
    for lock, pids in held.items():
        try:
            said = json.loads(Path(lock.removesuffix(".lock") + ".ready.json").read_bytes())
        except FileNotFoundError:
            continue
        if said["pid"] in pids and said["is_loaded"]:
            found[said["model"]] = said["pid"]
    return found


async def becomes_true(fact: Callable[[], bool], within_s: float) -> None:
    """Wait for what the system tells nobody about."""
    async with asyncio.timeout(within_s):
        while not fact():
            await asyncio.sleep(0.02)


async def never_two(root: Path) -> None:
    """Look again and again, until cancelled: no model may have two engines.

    A candidate that finds the lock taken has it open for a moment too, so whoever is second must be gone at once.
    """
    while True:
        for lock, pids in holders(root).items():
            if len(pids) > 1:
                await asyncio.sleep(0.02)
                still = pids & holders(root).get(lock, set())
                assert len(still) <= 1, f"{lock} is held by {sorted(still)}"
        await asyncio.sleep(0.02)
