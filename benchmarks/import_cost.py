"""What `import bodhi_asgi` costs a host, against its own frameworks' imports, each in fresh interpreters.

The best of several runs counts: other work on the machine can only add.
"""

import statistics
import subprocess
import sys

RUNS = 7
PROBE = "import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1000)"
PEERS = ("starlette.applications", "fastapi")


def import_ms(module: str) -> float:
    """Milliseconds of the quickest of several imports."""
    command = [sys.executable, "-c", PROBE.format(module=module)]
    runs = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(RUNS)]
    print(f"{module:24} best {min(runs):7.1f} ms   median {statistics.median(runs):7.1f} ms")
    return min(runs)


def main() -> None:
    ours = import_ms("bodhi_asgi")
    for peer in PEERS:
        print(f"bodhi_asgi / {peer}: {ours / import_ms(peer):.3f}")


if __name__ == "__main__":
    main()
