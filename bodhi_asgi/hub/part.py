"""The bytes of a blob that have arrived so far, with their checksum: written, taken up again, proven, and made whole.

The checksum is of what stands in the file, so a part from an earlier life is read once before it goes on. All of this
blocks, and is used by one thread at a time; :meth:`Part.stop` may be called from any.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bodhi_asgi.hub.errors import CacheNotWritable, HubFileCorrupt
from bodhi_asgi.hub.flush import Flusher
from bodhi_asgi.hub.folder import RepoFolder, disk_full
from bodhi_asgi.hub.types import RemoteFile
from bodhi_asgi.opening import AS_IT_IS, NO_LINK

READ_BYTES: Final = 1024 * 1024
ASK_FOR_SPACE_EVERY: Final = 64 * 1024 * 1024
ROOM_BYTES: Final = 256 * 1024
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Stopped(Exception):
    """The fetch was given up while its part was being read."""


class Part:
    """A file that grows until it is the blob. ``received`` counts its bytes, ``kept`` those it began with."""

    def __init__(self, folder: RepoFolder, remote: RemoteFile, path: Path) -> None:
        self._folder = folder
        self._remote = remote
        self._path = path
        self._fd = -1
        self._flusher: Flusher | None = None
        self._hash = _hash_for(remote)
        self._is_stopped = False
        self._ask_for_space_at = 0
        self.received = 0
        self.kept = 0

    def open(self) -> None:
        """Open the part, or begin one, and read what it has. Raises DiskFull when the rest will not fit."""
        self._have(os.open(self._path, os.O_RDWR | os.O_CREAT | NO_LINK | AS_IT_IS, 0o644))
        if os.fstat(self._fd).st_size > self._remote.size_bytes:
            self.restart()
        while piece := os.read(self._fd, READ_BYTES):
            if self._is_stopped:
                raise Stopped
            self._hash.update(piece)
            self.received += len(piece)
        self.kept = self.received
        self._ask_for_space()

    def write(self, data: memoryview) -> None:
        """Append what has arrived, and see to it that it comes to the disk.

        Raises DiskFull; what came before stays and counts, but for the last of it. Raises CacheNotWritable when the
        disk did not keep what came before, and nothing of it stays.
        """
        if self.received >= self._ask_for_space_at:
            self._ask_for_space()
        while data and self._fd >= 0:
            try:
                written = _write_at(self._fd, data, self.received)
            except OSError as error:
                if error.errno in FULL:
                    self._give_way()
                    raise disk_full(self._remote.size_bytes - self.received, 0) from error
                raise
            self._hash.update(data[:written])
            self.received += written
            data = data[written:]
        if self._flusher is not None:
            with self._losing_nothing():
                self._flusher.grown(self.received)

    def restart(self) -> None:
        """Begin anew in a new file: the old one may be open elsewhere, and is never cut short."""
        self.end()
        self._have(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | AS_IT_IS, 0o644))
        self._hash = _hash_for(self._remote)
        self.received = self.kept = 0

    def prove(self) -> None:
        """Raises HubFileCorrupt when the bytes are not those that the hub has announced."""
        if self.received != self._remote.size_bytes or self._hash.hexdigest() != self._remote.etag:
            raise HubFileCorrupt(
                f"what arrived is not '{self._remote.file.filename}' as the hub has announced it: its checksum "
                "differs; nothing of it was kept",
                repo=self._remote.file.repo,
                filename=self._remote.file.filename,
            )

    def become(self, blob: Path) -> None:
        """Become the blob, on the disk and for good. After a disk that cannot keep it, the part is thrown away."""
        assert self._flusher is not None, "it is open"
        with self._losing_nothing():
            self._flusher.finish()
        self._path.replace(blob)
        sync_folder(blob.parent)

    def discard(self) -> None:
        """Throw away what has arrived."""
        self._path.unlink(missing_ok=True)

    def stop(self) -> None:
        """Give up reading at the next opportunity."""
        self._is_stopped = True

    def close(self) -> None:
        """Close the file. What has arrived stays, unless the disk did not keep it."""
        if self._flusher is not None:
            self._flusher.close()
            os.close(self._fd)
            if self._flusher.has_failed:
                self.discard()
            self._fd, self._flusher = -1, None

    def end(self) -> None:
        """Close the file, and keep nothing."""
        self.close()
        self.discard()

    def _have(self, fd: int) -> None:
        self._fd, self._flusher = fd, Flusher(fd)

    @contextmanager
    def _losing_nothing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.discard()
            raise CacheNotWritable(f"the disk of the cache did not keep the file: {error.strerror}") from error

    def _give_way(self) -> None:
        """Let go of the last bytes: the database may lie on the same disk, and wants to note that it is full."""
        self.received = max(0, self.received - ROOM_BYTES)
        os.ftruncate(self._fd, self.received)

    def _ask_for_space(self) -> None:
        self._folder.require_space(self._remote.size_bytes - self.received)
        self._ask_for_space_at = self.received + ASK_FOR_SPACE_EVERY


def sync_folder(folder: Path) -> None:
    """Let the new name of a file outlive a power failure."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # as Windows says of folders
    try:
        os.fsync(fd)
    except OSError:
        return  # some file systems cannot, and have nothing to do
    finally:
        os.close(fd)


def _write_at(fd: int, data: memoryview, place: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(fd, data, place)
    os.lseek(fd, place, os.SEEK_SET)
    return os.write(fd, data)


def _hash_for(remote: RemoteFile) -> "hashlib._Hash":
    if remote.is_large:
        return hashlib.sha256()
    # Git's name of a file: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    return hashlib.sha1(b"blob %d\0" % remote.size_bytes, usedforsecurity=False)
