"""``python -m bodhi_asgi.engine DESCRIPTOR``: one engine process. Hosts start it; nobody types this.

The order (which model, in which runtime directory) is read from an inherited pipe, so that it stands in no argument
list. The lock is taken first thing, before anything heavy is imported: most candidates of a rush end right there.
"""

import json
import os
import sys
from pathlib import Path

from bodhi_asgi.engine.process.election import EXIT_LOST_ELECTION, take_lock


def main() -> int:
    """Run for office and serve. Returns the exit code."""
    with os.fdopen(int(sys.argv[1]), "rb") as pipe:
        order = json.load(pipe)
    if take_lock(Path(order["lock"])) is None:
        return EXIT_LOST_ELECTION
    from bodhi_asgi.engine.process.serve import serve

    return serve(order)


if __name__ == "__main__":
    sys.exit(main())
