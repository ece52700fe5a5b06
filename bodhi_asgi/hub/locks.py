"""The lock on a blob, so that no two processes fetch it at once: the file that huggingface_hub locks, the way it does.

Some network file systems pretend to lock, and Windows has no such locks at all. So the lock tells whether it holds, and
nothing that is kept depends on it.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from bodhi_asgi.opening import NO_LINK

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HELD_ELSEWHERE: Final = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK})


class BlobLock:
    """An exclusive lock on a file that stays when it is let go. All of this blocks, and not for long."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self) -> bool:
        """Try once; whether it is ours now."""
        fd = self._open()
        try:
            is_ours = _locked(fd) and _is_at(fd, self._path)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                os.close(fd)
                raise
            is_ours = True  # nothing can be locked here; holds() will say so
        if is_ours:
            self._fd = fd
        else:
            os.close(fd)
        return is_ours

    def holds(self) -> bool:
        """Whether another would be kept out: a second opening of the same file is asked to take it too."""
        fd = self._open()
        try:
            return not _locked(fd)
        except OSError:
            return False
        finally:
            os.close(fd)

    def release(self) -> None:
        """Let go, if it was ours. The file stays, because a removed one would be two files for those who wait."""
        if self._fd is not None:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o664)


def _locked(fd: int) -> bool:
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD_ELSEWHERE:
            return False
        raise
    return True


def _is_at(fd: int, path: Path) -> bool:
    try:
        there, ours = path.stat(), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
