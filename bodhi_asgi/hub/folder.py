"""A repository's folder in the Hugging Face cache: where each thing lies, and how a finished file becomes visible.

The layout is huggingface_hub's: ``blobs`` by checksum, ``snapshots`` by commit with links to them, ``refs`` for
branches (https://huggingface.co/docs/huggingface_hub/guides/manage-cache). All of this blocks: it is the file system.
"""

import errno
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bodhi_asgi.hub.errors import CacheNotWritable, DiskFull
from bodhi_asgi.hub.types import HubFile, RemoteFile

COMMIT: Final = re.compile(r"[0-9a-f]{40}")
NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
PART_SUFFIX: Final = ".bodhi.part"
TAG: Final = b"Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache; backups can leave it out.\n"
"""https://bford.info/cachedir/"""


@dataclass(frozen=True, slots=True)
class RepoFolder:
    """Where a repository's files lie below ``cache``. The repository's name has been checked."""

    cache: Path
    repo: str

    @property
    def name(self) -> str:
        """The name of the folder, and of that of its locks."""
        return f"models--{self.repo.replace('/', '--')}"

    @property
    def root(self) -> Path:
        return self.cache / self.name

    def blob(self, etag: str) -> Path:
        """A file's bytes, whole and proven."""
        return self.root / "blobs" / etag

    def part(self, etag: str, owner: str = "") -> Path:
        """What has arrived of a blob; nothing reads it but the fetch that goes on with it."""
        return self.root / "blobs" / f"{etag}{owner}{PART_SUFFIX}"

    def lock(self, etag: str) -> Path:
        """The lock on a blob that huggingface_hub takes too."""
        return self.cache / ".locks" / self.name / f"{etag}.lock"

    def pointer(self, commit: str, filename: str) -> Path:
        """A file as a user of the cache opens it."""
        return self.root / "snapshots" / commit / filename

    def ref(self, revision: str) -> Path:
        """Which commit a branch was at when it was last looked at."""
        return self.root / "refs" / revision

    def found(self, file: HubFile) -> Path | None:
        """The file in the cache as it was last seen at that revision, without asking the hub."""
        commit = file.revision
        if COMMIT.fullmatch(commit) is None:
            try:
                commit = self.ref(commit).read_text("ascii").strip()
            except (OSError, ValueError):
                return None
        if COMMIT.fullmatch(commit) is None:
            return None
        pointer = self.pointer(commit, file.filename)
        return pointer if pointer.is_file() else None

    def prepare(self, remote: RemoteFile) -> None:
        """Make the folders that a file needs. Raises CacheNotWritable when one leads out of the cache."""
        pointer = self.pointer(remote.commit, remote.file.filename)
        for folder in (self.root / "blobs", self.lock(remote.etag).parent, pointer.parent):
            self._make(folder)
        tag = self.cache / "CACHEDIR.TAG"
        if not tag.exists():
            tag.write_bytes(TAG)

    def publish(self, remote: RemoteFile) -> Path:
        """Let the blob be seen as the file at its commit, and the commit as what its revision stands for."""
        blob = self.blob(remote.etag)
        pointer = self.pointer(remote.commit, remote.file.filename)
        if not self._is_published(remote):
            beside = pointer.with_name(f".{secrets.token_hex(8)}")
            try:
                beside.symlink_to(os.path.relpath(blob, pointer.parent))
                beside.replace(pointer)
            except OSError as error:
                beside.unlink(missing_ok=True)
                if error.errno not in NO_LINKS:
                    raise
                blob.replace(pointer)  # there are no links on this file system; huggingface_hub does the same
        self.note(remote.file.revision, remote.commit)
        return pointer

    def note(self, revision: str, commit: str) -> None:
        """Remember which commit a branch or tag stands for."""
        if revision == commit:
            return
        ref = self.ref(revision)
        self._make(ref.parent)
        beside = ref.with_name(f".{secrets.token_hex(8)}.tmp")
        beside.write_text(commit, "ascii")
        beside.replace(ref)

    def has(self, remote: RemoteFile) -> bool:
        """Whether the whole file is here, as a blob or where links cannot be."""
        return _size(self.blob(remote.etag)) == remote.size_bytes or self._is_published(remote)

    def require_space(self, bytes_: int) -> None:
        """Raises DiskFull when the file system has no room for so many more bytes."""
        free = shutil.disk_usage(self.root).free
        if free < bytes_:
            raise disk_full(bytes_, free)

    def forget(self, etag: str) -> None:
        """Remove what has arrived of a blob that nobody wants any longer."""
        self.part(etag).unlink(missing_ok=True)

    def _is_published(self, remote: RemoteFile) -> bool:
        pointer = self.pointer(remote.commit, remote.file.filename)
        if _size(pointer) != remote.size_bytes:
            return False
        return not pointer.is_symlink() or Path(os.path.realpath(pointer)).name == remote.etag

    def _make(self, folder: Path) -> None:
        # Not Path.resolve, which knows no error for a link that leads to itself.
        if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(self.cache)):
            raise CacheNotWritable(f"a link in the cache's folder of '{self.repo}' leads out of it", repo=self.repo)
        folder.mkdir(parents=True, exist_ok=True)


def disk_full(needed: int, free: int) -> DiskFull:
    """There is no room, in numbers."""
    return DiskFull(
        f"the disk of the cache is full: {needed:,} more bytes are needed, and {free:,} are free; "
        "remove models, or move the cache with hub.cache_dir",
        needed_bytes=needed,
        free_bytes=free,
    )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
