"""``python -m benchmarks``: every benchmark in its quick form, one process each; ``--full`` for the long one."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

COMPARISONS: Final = (
    "engine_load",
    "shared_prefix",
    "embeddings",
    "constraints",
    "speculation",
    "loop_lag",
    "engine_process",
    "sse_thousand",
    "host_memory",
    "host_routes",
    "start_cost",
    "exit_times",
    "model_memory",
)
"""Those that know ``--full``; every other script here has one form."""

PARTS: Final = (
    *("__init__", "__main__", "hosts", "interleave", "load"),
    *("machine", "mount_cost", "peer_builds", "peers", "random_encoder", "random_model", "wire"),
)
"""Modules that the benchmarks are made of."""


def scripts(folder: Path) -> list[str]:
    """All benchmarks, those that compare engines first."""
    others = {path.stem for path in folder.glob("*.py")} - {*PARTS, *COMPARISONS}
    return [*COMPARISONS, *sorted(others)]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--full", action="store_true", help="all cases and more rounds: over an hour on two cores")
    asked = options.parse_args()
    failed = []
    for name in scripts(Path(__file__).parent):
        print(f"\n## {name}\n", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        if asked.full and name in COMPARISONS:
            command.append("--full")
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
