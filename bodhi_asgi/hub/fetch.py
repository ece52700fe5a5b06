"""One file of the hub into the cache: asked about, received in pieces that survive any death, proven, made visible.

Whatever breaks on the way is taken up at the byte where it broke: a connection in this call, a killed process in the
next. Nobody sees a file that is not whole. Nothing is written outside of the cache.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

from bodhi_asgi.hub.bench import Bench
from bodhi_asgi.hub.errors import HubAnswerInvalid, HubFileCorrupt, HubUnreachable
from bodhi_asgi.hub.folder import COMMIT, RepoFolder
from bodhi_asgi.hub.locks import BlobLock
from bodhi_asgi.hub.part import Part
from bodhi_asgi.hub.patience import Patience
from bodhi_asgi.hub.refusals import PASSING_STATUSES, Passing, refusal
from bodhi_asgi.hub.transport import Answer, HubTransport
from bodhi_asgi.hub.types import HubFile, RemoteFile

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many bytes of how many are here, in the event loop, at most ten times a second and at both ends."""

ETAG: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
MAX_BYTES: Final = 2**53
TELL_EVERY_S: Final = 0.1
WRITE_EVERY_S: Final = 0.25
MAX_WRITE: Final = 1024 * 1024
MIN_WRITE: Final = 16 * 1024
LOCK_EVERY_S: Final = 0.1
MAX_CHANGES: Final = 3
CLOSED: Final = frozenset({400, 401, 403, 404, 410})
CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class FileChanged(Exception):
    """The file is not any longer what it was when the hub was asked about it."""


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


def _nothing() -> None:
    """The work before the first."""


def _nobody(done: int, total: int) -> None:
    """Progress that nobody asked for."""


def _described(file: HubFile, answer: Answer) -> RemoteFile:
    response = answer.response
    is_elsewhere = response.has_redirect_location
    if not is_elsewhere and response.status_code != 200:
        refuse(answer, file)
    told = {**({} if is_elsewhere else response.headers), **answer.told}
    commit = told.get("x-repo-commit", "")
    etag = _plain(told.get("x-linked-etag") or told.get("etag", ""))
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
                if part.received > before:
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


class Receiver:
    """Asks for what is missing of a blob and hands it to the thread that writes, while the next piece arrives."""

    def __init__(
        self, bench: Bench, transport: HubTransport, part: Part, remote: RemoteFile, progress: Progress
    ) -> None:
        self._bench = bench
        self._transport = transport
        self._part = part
        self._remote = remote
        self._progress = progress
        self._told_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # A death costs at most two writes, or two pieces as they come, and shall cost little of a small file.
        self._write_bytes = min(MAX_WRITE, max(MIN_WRITE, remote.size_bytes // 400))
        self.bytes = 0

    async def receive(self) -> None:
        """One request for the rest, to its end. Raises Passing and FileChanged; what came before stays written."""
        begin = self._part.received
        url = self._transport.access.url_of(self._remote.file, self._remote.commit)
        headers = {"Range": f"bytes={begin}-"} if begin else {}
        self._tell(is_due=True)
        try:
            async with self._transport.asking("GET", url, headers) as answer:
                await self._check(answer, begin)
                await self._take(answer.response.aiter_raw(), self._remote.size_bytes - self._part.received)
        finally:
            self._hush()
        if self._part.received < self._remote.size_bytes:
            raise Passing(HubUnreachable("the hub ended the file before its end"))

    async def _check(self, answer: Answer, begin: int) -> None:
        response = answer.response
        size = self._remote.size_bytes
        etag = answer.told.get("x-linked-etag") or ("" if answer.is_redirected else response.headers.get("etag", ""))
        if etag and _plain(etag) != self._remote.etag and response.status_code in (200, 206):
            raise FileChanged
        if response.headers.get("content-encoding", "identity") != "identity":
            raise HubAnswerInvalid("the hub sends the file compressed, which was not asked for")
        if response.status_code == 206:
            found = CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
            if found is None or (int(found[1]), int(found[3])) != (begin, size):
                raise FileChanged
        elif response.status_code == 200:
            if response.headers.get("content-length", str(size)) != str(size):
                raise FileChanged
            if begin:
                await self._bench.do(self._part.restart)
        elif response.status_code == 416:
            raise FileChanged
        elif (
            answer.is_redirected and 400 <= response.status_code < 500 and response.status_code not in PASSING_STATUSES
        ):
            # What the hub's signature opens is closed after a while; the hub makes a new one.
            raise Passing(HubUnreachable(f"where the hub keeps its files answered with {response.status_code}"))
        else:
            refuse(answer, self._remote.file)

    async def _take(self, pieces: AsyncIterator[bytes], missing: int) -> None:
        clock = asyncio.get_running_loop().time
        held: list[bytes] = []
        size, written_at = 0, clock()
        writing: asyncio.Future[None] = self._bench.start(_nothing)
        try:
            async for piece in pieces:
                self.bytes += len(piece)
                missing -= len(piece)
                if missing < 0:
                    raise FileChanged
                held.append(piece)
                size += len(piece)
                if size >= self._write_bytes or clock() - written_at > WRITE_EVERY_S:
                    await asyncio.shield(writing)
                    writing = self._bench.start(self._part.write, held)
                    held, size, written_at = [], 0, clock()
                    self._tell()
        except FileChanged:
            raise
        except asyncio.CancelledError:
            self._bench.at_last(lambda: self._part.write(held))
            raise
        except Exception:
            await self._write_last(writing, held)
            raise
        await self._write_last(writing, held)

    async def _write_last(self, writing: "asyncio.Future[None]", held: list[bytes]) -> None:
        await asyncio.shield(writing)
        await self._bench.do(self._part.write, held)
        self._tell()

    def _tell(self, *, is_due: bool = False) -> None:
        loop = asyncio.get_running_loop()
        due_at = self._told_at + TELL_EVERY_S
        if is_due or loop.time() >= due_at:
            self._hush()
            self._told_at = loop.time()
            self._progress(self._part.received, self._remote.size_bytes)
        elif self._timer is None:
            self._timer = loop.call_at(due_at, lambda: self._tell(is_due=True))

    def _hush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def refuse(answer: Answer, file: HubFile) -> NoReturn:
    """Raise what the hub's refusal means, as Passing when it may be another one the next time."""
    error = refusal(answer.response.status_code, answer.response.headers, file.repo, file)
    if answer.response.status_code in PASSING_STATUSES:
        raise Passing(error)
    raise error


def _plain(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= MAX_BYTES
