"""Receives what is missing of a blob: one request for the rest, written in a thread while the next block arrives."""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Final, NoReturn, TypeAlias

from bodhi_asgi.connections import Block
from bodhi_asgi.hub.bench import Bench
from bodhi_asgi.hub.errors import HubAnswerInvalid, HubUnreachable
from bodhi_asgi.hub.pace import Pace
from bodhi_asgi.hub.part import Part
from bodhi_asgi.hub.refusals import PASSING_STATUSES, Passing, refusal
from bodhi_asgi.hub.transport import Answer, HubTransport
from bodhi_asgi.hub.types import HubFile, RemoteFile
from bodhi_asgi.outbound import Body

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many bytes of how many are here, in the event loop, at most ten times a second and at both ends."""

TELL_EVERY_S: Final = 0.1
WRITE_EVERY_S: Final = 0.25
MAX_WRITE: Final = 1024 * 1024
MIN_WRITE: Final = 16 * 1024
CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class FileChanged(Exception):
    """The file is not any longer what it was when the hub was asked about it."""


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
        self._pace = Pace(transport.access, transport.clock)
        self.bytes = 0

    async def receive(self) -> None:
        """One request for the rest, to its end. Raises Passing and FileChanged; what came before stays written."""
        begin = self._part.received
        self._pace = Pace(self._transport.access, self._transport.clock)
        url = self._transport.access.url_of(self._remote.file, self._remote.commit)
        headers = {"Range": f"bytes={begin}-"} if begin else {}
        self._tell(is_due=True)
        try:
            async with self._transport.asking("GET", url, headers) as answer:
                await self._check(answer, begin)
                async with aclosing(Body(answer.response)) as body:
                    await self._take(body, self._remote.size_bytes - self._part.received)
        finally:
            self._hush()
        if self._part.received < self._remote.size_bytes:
            raise Passing(HubUnreachable("the hub ended the file before its end"))

    def was_worth(self, bytes_: int) -> bool:
        """Whether a connection that brought so many bytes, the last one, has brought us on."""
        return bytes_ >= self._pace.worth

    async def _check(self, answer: Answer, begin: int) -> None:
        response = answer.response
        size = self._remote.size_bytes
        etag = answer.told.get("x-linked-etag") or ("" if answer.is_redirected else response.headers.get("etag", ""))
        if etag and plain(etag) != self._remote.etag and response.status_code in (200, 206):
            raise FileChanged
        require_plain(response.headers)
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

    async def _take(self, body: Body, missing: int) -> None:
        block, spare = Block(self._write_bytes), Block(self._write_bytes)
        writing: asyncio.Future[None] = self._bench.start(_nothing)
        try:
            while await self._fill(body, block):
                missing -= block.filled
                if missing < 0:
                    raise FileChanged
                await asyncio.shield(writing)
                writing = self._bench.start(self._part.write, block.data)
                block, spare = spare, block
                block.clear()
                self._tell()
        except FileChanged:
            raise
        except asyncio.CancelledError:
            self._bench.at_last(lambda: self._part.write(block.data))
            raise
        except Exception:
            await self._write_last(writing, block)
            raise
        await self._write_last(writing, block)

    async def _fill(self, body: Body, block: Block) -> bool:
        """Whether anything has come."""
        self._pace.wait()
        try:
            await body.receive(block, WRITE_EVERY_S)
        finally:
            self.bytes += block.filled
        self._pace.came(block.filled)
        return block.filled > 0

    async def _write_last(self, writing: "asyncio.Future[None]", block: Block) -> None:
        await asyncio.shield(writing)
        await self._bench.do(self._part.write, block.data)
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


def require_plain(headers: Mapping[str, str]) -> None:
    """Raise HubAnswerInvalid for a file that is not sent as it is."""
    if headers.get("content-encoding", "identity") != "identity":
        raise HubAnswerInvalid("the hub sends the file compressed, which was not asked for")


def refuse(answer: Answer, file: HubFile) -> NoReturn:
    """Raise what the hub's refusal means, as Passing when it may be another one the next time."""
    error = refusal(answer.response.status_code, answer.response.headers, file.repo, file)
    if answer.response.status_code in PASSING_STATUSES:
        raise Passing(error)
    raise error


def plain(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _nothing() -> None:
    """The work before the first."""
