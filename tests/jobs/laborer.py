"""A process that does jobs: ``python -m tests.jobs.laborer URL LEASE_S``. It says what it is at and what it has done.

A job whose subject begins with ``hang`` never ends.
"""

import asyncio
import sys

from bodhi_asgi.clock import SystemClock
from bodhi_asgi.db.database import Database
from bodhi_asgi.jobs import store
from bodhi_asgi.jobs.types import Claim
from bodhi_asgi.jobs.worker import Worker


async def main(url: str, lease_s: float) -> None:
    database = Database(url)
    await database.open()

    async def run(held: Claim) -> None:
        print("at", held.subject, flush=True)
        if held.subject.startswith("hang"):
            await asyncio.Event().wait()
        async with database.transaction() as tx:
            await store.finish(tx, held)
        print("did", held.subject, flush=True)

    worker = Worker(
        database=database,
        clock=SystemClock(),
        kind="test",
        run=run,
        parallel=4,
        look_s=0.05,
        beat_s=lease_s / 5,
        lease_s=lease_s,
    )
    async with worker:
        print("ready", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
