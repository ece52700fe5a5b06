"""Removes a file from the Hugging Face cache: its link, the bytes that no other link needs, and what is empty then.

What is left is what ``huggingface_hub`` would leave after ``delete_revisions``. Every step goes from folder to folder
by descriptors and through no link, so that nothing outside the cache can be reached, whatever is changed meanwhile.
Blocking.
"""

import contextlib
import errno
import os
import posixpath
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bodhi_asgi.hub.folder import RepoFolder
from bodhi_asgi.hub.locks import BlobLock
from bodhi_asgi.opening import NO_LINK, NO_WAITING, ONLY_FOLDER
from bodhi_asgi.shelf.errors import ModelFileInUse, ModelFileNotOurs
from bodhi_asgi.shelf.types import LocalFile, Removed

FOLDER: Final = os.O_RDONLY | ONLY_FOLDER | NO_LINK
MAX_DEPTH: Final = 16
REF_BYTES: Final = 128


def remove(cache: Path, file: LocalFile) -> Removed:
    """Remove all parts of a file of the cache.

    Raises ModelFileInUse while one of them is being downloaded, ModelFileNotOurs when a folder on the way is a link,
    and OSError when the file system refuses. A file that is gone already is removed from nothing.
    """
    if os.open not in os.supports_dir_fd:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))  # on Windows, and there is no safe way without it
    names = file.shards or (file.filename,)
    with ExitStack() as stack:
        repo = _entered(stack, os.path.realpath(cache), RepoFolder(cache, file.repo).name)
        if repo is None:
            return Removed(0, 0)
        blobs = {blob for name in names if (blob := _blob(repo, file.snapshot, name)) is not None}
        _lock(stack, cache, file, blobs)
        removed = freed = 0
        for name in names:
            size = _unlink(repo, file.snapshot, name)
            removed += size is not None
            freed += size or 0
        freed += _drop_blobs(repo, blobs)
        _tidy(repo, file.snapshot)
        if not _has_snapshots(repo):
            _drop_repo(repo, os.path.realpath(cache), RepoFolder(cache, file.repo).name)
        return Removed(removed, freed)


def _entered(stack: ExitStack, root: str, name: str) -> int | None:
    cache = _open(root, None)
    if cache is None:
        return None
    stack.callback(os.close, cache)
    repo = _open(name, cache)
    if repo is not None:
        stack.callback(os.close, repo)
    return repo


def _open(name: str, folder: int | None) -> int | None:
    """A folder in a folder; None where there is none. Raises ModelFileNotOurs for a link."""
    try:
        return os.open(name, FOLDER, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise ModelFileNotOurs(
                f"'{name[:100]}' on the way to the file is a link or no folder; remove it by hand"
            ) from error
        raise


@contextmanager
def _inside(folder: int, *names: str) -> Iterator[int | None]:
    """The folder that the names lead to from a folder."""
    with ExitStack() as stack:
        found: int | None = folder
        for name in names:
            found = _open(name, found)
            if found is None:
                break
            stack.callback(os.close, found)
        yield found


def _place(snapshot: str, name: str) -> tuple[tuple[str, ...], str]:
    *folders, last = name.split("/")
    return ("snapshots", snapshot, *folders), last


def _blob(repo: int, snapshot: str, name: str) -> str | None:
    """The name of the blob that a file is a link to; None for a file that is none, or that links elsewhere."""
    folders, last = _place(snapshot, name)
    with _inside(repo, *folders) as folder:
        if folder is None:
            return None
        try:
            target = os.readlink(last, dir_fd=folder)
        except OSError:
            return None
    return _blob_of(folders, target)


def _blob_of(folders: tuple[str, ...], target: str) -> str | None:
    parts = posixpath.normpath(posixpath.join(*folders, target)).split("/")
    return parts[1] if len(parts) == 2 and parts[0] == "blobs" and parts[1] not in (".", "..") else None


def _lock(stack: ExitStack, cache: Path, file: LocalFile, blobs: set[str]) -> None:
    """Let nobody fetch these bytes meanwhile."""
    for blob in sorted(blobs):
        path = RepoFolder(cache, file.repo).lock(blob)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = BlobLock(path)
        if not lock.take():
            raise ModelFileInUse(f"'{file.filename[:200]}' is being downloaded; cancel that first, or wait for its end")
        stack.callback(lock.release)


def _unlink(repo: int, snapshot: str, name: str) -> int | None:
    """Remove a name; how many bytes that freed, or None when there was none."""
    folders, last = _place(snapshot, name)
    with _inside(repo, *folders) as folder:
        if folder is None:
            return None
        try:
            status = os.stat(last, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                return None
            os.unlink(last, dir_fd=folder)
        except FileNotFoundError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 else 0


def _drop_blobs(repo: int, blobs: set[str]) -> int:
    """Remove those that no snapshot links to any more; how many bytes that freed."""
    freed = 0
    unneeded = blobs - set(_linked(repo, ("snapshots",), 0))
    with _inside(repo, "blobs") as folder:
        for blob in unneeded if folder is not None else ():
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(blob, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    os.unlink(blob, dir_fd=folder)
                    freed += status.st_size
    return freed


def _linked(repo: int, folders: tuple[str, ...], depth: int) -> Iterator[str]:
    """Every blob that a snapshot links to."""
    below: list[str] = []
    with _inside(repo, *folders) as folder:
        if folder is None:
            return
        for entry in list(os.scandir(folder)):
            if entry.is_symlink():
                with contextlib.suppress(FileNotFoundError):  # somebody else removes things, too
                    blob = _blob_of(folders, os.readlink(entry.name, dir_fd=folder))
                    if blob is not None:
                        yield blob
            elif entry.is_dir(follow_symlinks=False):
                below.append(entry.name)
    for name in below if depth < MAX_DEPTH else ():
        yield from _linked(repo, (*folders, name), depth + 1)


def _tidy(repo: int, snapshot: str) -> None:
    """Remove the folders of a snapshot that are empty, and when it is itself, the references to it."""
    with _inside(repo, "snapshots") as snapshots:
        if snapshots is None:
            return
        _drop_empty(snapshots, snapshot, 0)
        try:
            os.stat(snapshot, dir_fd=snapshots, follow_symlinks=False)
        except FileNotFoundError:
            _drop_refs(repo, ("refs",), snapshot, 0)


def _drop_empty(parent: int, name: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    with _inside(parent, name) as folder:
        if folder is None:
            return
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        for below in names:
            _drop_empty(folder, below, depth + 1)
    _drop_folder(parent, name)


def _drop_folder(parent: int, name: str) -> bool:
    """Remove a folder if it is empty; whether it is gone."""
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _drop_refs(repo: int, folders: tuple[str, ...], commit: str, depth: int) -> None:
    below: list[str] = []
    with _inside(repo, *folders) as folder:
        if folder is None:
            return
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    if _said(entry.name, folder) == commit:
                        os.unlink(entry.name, dir_fd=folder)
    for name in below if depth < MAX_DEPTH else ():
        _drop_refs(repo, (*folders, name), commit, depth + 1)
        with _inside(repo, *folders) as folder:
            if folder is not None:
                _drop_folder(folder, name)


def _said(name: str, folder: int) -> str:
    descriptor = os.open(name, os.O_RDONLY | NO_LINK | NO_WAITING, dir_fd=folder)
    try:
        return os.read(descriptor, REF_BYTES).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)


def _has_snapshots(repo: int) -> bool:
    with _inside(repo, "snapshots") as snapshots:
        return snapshots is not None and os.listdir(snapshots) != []  # noqa: PTH208  it is a descriptor


def _drop_repo(repo: int, root: str, name: str) -> None:
    """Remove the folder of a repository without snapshots, unless bytes of a download wait in it."""
    for folder in ("snapshots", "blobs"):
        if not _drop_folder(repo, folder):
            return
    for folder in ("refs", ".no_exist"):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder, dir_fd=repo)
    cache = _open(root, None)
    if cache is not None:
        try:
            _drop_folder(cache, name)
        finally:
            os.close(cache)
