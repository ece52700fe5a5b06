"""Who listens on a port, as far as this user may know it. Linux only; elsewhere the answer is "unknown".

Format: https://docs.kernel.org/networking/proc_net_tcp.html
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
LISTENING: Final = "0A"
WORD: Final = re.compile(r"(?!-)(?!.*://)[\w./:+-]{1,200}")
SHOWN_WORDS: Final = 3


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, and the command it was started with."""

    pid: int
    command: str

    @property
    def is_bodhi(self) -> bool:
        """Whether it looks like a server of ours."""
        return "bodhi" in self.command

    @property
    def is_us(self) -> bool:
        return self.pid == os.getpid()


def holder_of(port: int) -> Holder | None:
    """The process that listens on ``port``, on whatever address; None when it cannot be told."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    if not sockets:
        return None
    for process in sorted(PROC.iterdir()):
        if process.name.isdigit() and any(link in sockets for link in _open_files(process)):
            return Holder(int(process.name), _command(process))
    return None


def _listening(port: int) -> Iterator[str]:
    """The inodes of the sockets that listen on ``port``."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _open_files(process: Path) -> Iterator[str]:
    try:
        for descriptor in (process / "fd").iterdir():
            yield str(descriptor.readlink())
    except OSError:
        return  # another user's, or gone


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    # Only what tells the program: arguments may hold secrets.
    told = [word for word in words if WORD.fullmatch(word)]
    return " ".join(Path(word).name if "/" in word else word for word in told[:SHOWN_WORDS])
