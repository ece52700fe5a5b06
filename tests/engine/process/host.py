"""A host of its own for tests: ``python host.py RUNTIME_DIR LINGER_S ENGINES``.

Starts so many engines of the echo model at once, prints their pids as JSON, leaves a long answer unread on the first,
says ``streaming``, and holds everything until its standard input ends.
"""

import asyncio
import json
import sys
from contextlib import aclosing
from pathlib import Path

from bodhi_asgi.engine.client import ProcessEngine
from tests.engine.process.support import ECHO, LONG, answer, first_text, work


async def main(runtime_dir: Path, linger_s: float, count: int) -> None:
    engines = [ProcessEngine(ECHO, runtime_dir=runtime_dir, linger_s=linger_s) for _ in range(count)]
    await asyncio.gather(*(engine.start() for engine in engines))
    await asyncio.gather(*(answer(engine, work()) for engine in engines))
    print(json.dumps([engine.pid for engine in engines]), flush=True)
    async with aclosing(engines[0].submit(work(LONG))) as deltas:
        await first_text(deltas)  # only now does it certainly run: the first word says no more than that it is taken
        print("streaming", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    for engine in engines:
        await engine.aclose()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
