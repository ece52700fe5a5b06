"""``python -m bodhi_asgi.engine DESCRIPTOR``: one engine process. Hosts start it; nobody types this.

The order (which model, in which runtime directory) is read from an inherited pipe, so that it stands in no argument
list; the pipe stays open, and its end tells that the host that started this process is gone. The lock is taken first
thing, before anything heavy is imported: most candidates of a rush end right there.
"""

import json
import os
import sys
from pathlib import Path

from bodhi_asgi.engine.process.election import EXIT_LOST_ELECTION, take_lock


def main() -> int:
    """Run for office and serve. Returns the exit code."""
    tether = int(sys.argv[1])
    with os.fdopen(tether, "rb", closefd=False) as pipe:
        order = json.loads(pipe.readline())
    if take_lock(Path(order["lock"])) is None:
        return EXIT_LOST_ELECTION
    from bodhi_asgi.engine.process.serve import serve

    return serve(order, tether)


if __name__ == "__main__":
    sys.exit(main())
