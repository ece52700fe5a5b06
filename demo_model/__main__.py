"""From nothing to the shipped file: tokenizer, training, export, what the tests compare with, and the table."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from demo_model.train import prepare

PAGE = Path(__file__).parent.parent / "docs" / "demo-model.md"
PORT = "29500"


def step(*command: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", *command], env={**os.environ, "OMP_NUM_THREADS": "1", **environment})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo_model/build"))
    parser.add_argument("--steps", type=int, default=4400)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--skip-training", action="store_true")
    arguments = parser.parse_args()
    folder = str(arguments.folder)
    running = []
    if not arguments.skip_training:
        prepare(arguments.folder)
        options = ("--folder", folder, "--steps", str(arguments.steps), "--world", str(arguments.processes))
        for rank in range(arguments.processes):
            address = {"RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": PORT}
            running.append(step("demo_model.train", *options, **address))
    for process in running:
        if process.wait():
            sys.exit("training failed")
    for command in (
        ("demo_model.export", "--folder", folder),
        ("demo_model.parity", "--folder", folder),
        ("demo_model.evaluate", "--folder", folder, "--write", str(PAGE)),
    ):
        if step(*command).wait():
            sys.exit(f"{command[0]} failed")


if __name__ == "__main__":
    main()
