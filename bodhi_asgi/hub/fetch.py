"""One file of the hub into the cache: asked about, received in pieces that survive any death, proven, made visible.

Whatever breaks on the way is taken up at the byte where it broke: a connection in this call, a killed process in the
next. Nobody sees a file that is not whole. Nothing is written outside of the cache.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bodhi_asgi.hub.bench import Bench
from bodhi_asgi.hub.errors import HubAnswerInvalid, HubFileCorrupt
from bodhi_asgi.hub.folder import COMMIT, RepoFolder
from bodhi_asgi.hub.locks import BlobLock
from bodhi_asgi.hub.part import Part
from bodhi_asgi.hub.patience import Patience
from bodhi_asgi.hub.receiver import FileChanged, Progress, Receiver, plain, refuse
from bodhi_asgi.hub.refusals import Passing
from bodhi_asgi.hub.transport import Answer, HubTransport
from bodhi_asgi.hub.types import HubFile, RemoteFile

ETAG: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
MAX_BYTES: Final = 2**53
LOCK_EVERY_S: Final = 0.1
MAX_CHANGES: Final = 3


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file in the cache. ``received_bytes`` came over the network for it; 0 when it was here."""

    path: Path
    remote: RemoteFile
    received_bytes: int


async def describe(transport: HubTransport, file: HubFile) -> RemoteFile:
    """What the hub says of a file, asked again as often as ``hub.retries`` says.

    Raises RepositoryNotFound, RepositoryGated, RepositoryDisabled, RevisionNotFound, HubFileNotFound, HubTokenRefused,
    HubRateLimited, HubUnreachable, HubOffline, HubAnswerInvalid and RedirectRefused.
    """
    patience = Patience(transport.access)
    while True:
        try:
            async with transport.asking("HEAD", transport.access.url_of(file), stops_when_told=True) as answer:
                return _described(file, answer)
        except Passing as passing:
            await patience.wait(passing)


async def fetch(
    transport: HubTransport, file: HubFile, cache: Path, *, progress: Progress | None = None
) -> FetchedFile:
    """Bring ``file`` into ``cache``, or find it there; the path is that of the snapshot.

    Cancelling ends it at once, and what has arrived stays for the next call. Raises what :func:`describe` does,
    HubFileCorrupt, DiskFull and CacheNotWritable.
    """
    folder = RepoFolder(cache, file.repo)
    with Bench("bodhi-fetch") as bench:
        for _ in range(MAX_CHANGES):
            remote = await describe(transport, file)
            try:
                return await _obtain(bench, transport, folder, remote, progress or _nobody)
            except FileChanged:
                continue
        raise HubFileCorrupt(
            f"'{file.filename}' of '{file.repo}' is sent otherwise than the hub announces it, {MAX_CHANGES} times over",
            repo=file.repo,
            filename=file.filename,
        )


def _nobody(done: int, total: int) -> None:
    """Progress that nobody asked for."""


def _described(file: HubFile, answer: Answer) -> RemoteFile:
    response = answer.response
    is_elsewhere = response.has_redirect_location
    if not is_elsewhere and response.status_code != 200:
        refuse(answer, file)
    told = {**({} if is_elsewhere else response.headers), **answer.told}
    commit = told.get("x-repo-commit", "")
    etag = plain(told.get("x-linked-etag") or told.get("etag", ""))
    size = told.get("x-linked-size") or told.get("content-length", "")
    if COMMIT.fullmatch(commit) is None or ETAG.fullmatch(etag) is None or not _is_size(size):
        raise HubAnswerInvalid(
            f"the hub does not say commit, checksum and size of '{file.filename}' of '{file.repo}'; is it a hub?",
            repo=file.repo,
            filename=file.filename,
        )
    return RemoteFile(file, commit, etag, int(size))


async def _obtain(
    bench: Bench, transport: HubTransport, folder: RepoFolder, remote: RemoteFile, progress: Progress
) -> FetchedFile:
    await bench.do(folder.prepare, remote)
    received = 0
    async with _locked(bench, folder.lock(remote.etag)) as is_alone:
        if not await bench.do(folder.has, remote):
            received = await _receive(bench, transport, folder, remote, progress, is_alone=is_alone)
        path = await bench.do(folder.publish, remote)
    progress(remote.size_bytes, remote.size_bytes)
    return FetchedFile(path, remote, received)


@asynccontextmanager
async def _locked(bench: Bench, path: Path) -> AsyncIterator[bool]:
    """Hold the lock on a blob, however long another has it; whether it keeps others off."""
    lock = BlobLock(path)
    try:
        while not await bench.do(lock.take):  # noqa: ASYNC110  # another process does not set our events
            await asyncio.sleep(LOCK_EVERY_S)
        yield await bench.do(lock.holds)
    finally:
        bench.at_last(lock.release)


async def _receive(
    bench: Bench,
    transport: HubTransport,
    folder: RepoFolder,
    remote: RemoteFile,
    progress: Progress,
    *,
    is_alone: bool,
) -> int:
    """The blob, from its first missing byte to its proof; how many bytes came."""
    # Where a lock holds nobody off, each writes a part of his own, and it ends with him.
    path = folder.part(remote.etag, "" if is_alone else f".{secrets.token_hex(8)}")
    part = Part(folder, remote, path)
    patience = Patience(transport.access)
    receiver = Receiver(bench, transport, part, remote, progress)
    try:
        await bench.do(part.open)
        while part.received < remote.size_bytes:
            before = part.received
            try:
                await receiver.receive()
            except Passing as passing:
                if receiver.was_worth(part.received - before):
                    patience.gather()
                await patience.wait(passing)
        try:
            await bench.do(part.prove)
        except HubFileCorrupt:
            await bench.do(part.discard)
            if part.kept:
                raise FileChanged from None  # what was kept may be what is wrong, and does not count against the hub
            raise
        await bench.do(part.become, folder.blob(remote.etag))
    except FileChanged:
        await bench.do(part.discard)
        raise
    finally:
        part.stop()
        bench.at_last(part.close if is_alone else part.end)
    return receiver.bytes


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= MAX_BYTES
