"""SQLite for ``databases`` with a pool: WAL, immediate write transactions, foreign keys, and an end that does end.

The package's own back end opens a connection and a thread for every query and begins transactions that deadlock when
two of them want to write. Here one connection writes and several read.
"""

import asyncio
import concurrent.futures
import sqlite3
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiosqlite
from databases import Database as Driver
from databases import DatabaseURL
from databases.backends.sqlite import SQLiteBackend, SQLiteConnection, SQLiteTransaction

from bodhi_asgi.db.errors import DatabaseInherited
from bodhi_asgi.forks import FORKS
from bodhi_asgi.loops import this_loop

SCHEME: Final = "sqlite+bodhi"
CLOSE_S: Final = 5.0
REST_S: Final = 2.0
"""The most that a fork waits for transactions to end."""
BUSY_S: Final = 0.02
"""Between two attempts at what another process keeps us from."""

INHERITED: Final[set[object]] = set()
"""The files that were open in the process that this one was forked from. See sqlite.org/howtocorrupt.html, 2.6."""

Driver.SUPPORTED_BACKENDS[SCHEME] = "bodhi_asgi.db.sqlite:PooledBackend"


class Pool:
    """Up to ``size`` open connections to one file, given out one by one."""

    def __init__(self, database: str, *, size: int, timeout_s: float, is_reader: bool, is_memory: bool) -> None:
        self._database = database
        self._timeout_s = timeout_s
        self._is_reader = is_reader
        self._is_memory = is_memory
        self._free = asyncio.Semaphore(size)
        self._size = size
        self._idle: deque[aiosqlite.Connection] = deque()
        self._busy: set[aiosqlite.Connection] = set()
        self._open_ones: set[aiosqlite.Connection] = set()
        self._held = 0
        self._was_stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        # ``databases`` asks for this when it disconnects.
        self._memref: object = None

    async def acquire(self) -> aiosqlite.Connection:
        async with asyncio.timeout(self._timeout_s):
            await self._free.acquire()
        try:
            connection = self._idle.pop() if self._idle else await self._open()
        except BaseException:
            self._free.release()
            raise
        self._busy.add(connection)
        return connection

    async def release(self, connection: aiosqlite.Connection) -> None:
        self._busy.discard(connection)
        try:
            if connection.in_transaction:
                await connection.rollback()
            self._idle.append(connection)
        except (ValueError, sqlite3.Error):
            await self._close(connection)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Close everything; a query that is still running is interrupted."""
        for connection in tuple(self._busy):
            with suppress(ValueError, sqlite3.Error):
                await connection.interrupt()
        for connection in (*self._idle, *self._busy):
            await self._close(connection)
        self._idle.clear()

    def before_fork(self) -> None:
        """Have nothing under way, and no file open: a child that inherits an open file does not see its locks.

        Waits for transactions to end, for a while; not where the thread that forks is the one they run in.
        """
        loop = self._loop
        if loop is None or not loop.is_running() or loop is this_loop():
            return
        self._was_stopped = True
        resting = asyncio.run_coroutine_threadsafe(self._rest(), loop)
        try:
            resting.result(REST_S)
        except (TimeoutError, concurrent.futures.CancelledError):
            resting.cancel()

    def after_fork(self) -> None:
        """Go on. Connections are opened anew when they are needed."""
        if self._was_stopped and self._loop is not None:
            self._was_stopped = False
            # Behind what may have been cancelled above, so that whatever that still takes is given back.
            with suppress(RuntimeError):  # a loop that has ended meanwhile has no use for them
                self._loop.call_soon_threadsafe(self._wake)

    def forget(self) -> object:
        """In a forked child: a file that its parent had open is not opened here."""
        if self._open_ones and not self._is_memory:
            INHERITED.add(_identity(self._database))
        self._loop = None
        return self._open_ones

    async def _rest(self) -> None:
        try:
            while self._held < self._size:
                await self._free.acquire()
                self._held += 1
            while self._idle and not self._is_memory:
                await self._close(self._idle.pop())
        except BaseException:
            self._wake()
            raise

    def _wake(self) -> None:
        for _ in range(self._held):
            self._free.release()
        self._held = 0

    async def _open(self) -> aiosqlite.Connection:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            FORKS.add(self)
        if not self._is_memory and _identity(self._database) in INHERITED:
            raise DatabaseInherited(
                f"this process was forked while its parent was at work in {self._database}, and SQLite's locks do not "
                "hold here: fork before the first use, or from a thread that runs no event loop, or use PostgreSQL"
            )
        opening = aiosqlite.connect(self._database, isolation_level=None, uri=self._database.startswith("file:"))
        # A daemon: under a server that runs no lifespan nobody closes us, and the process must end all the same.
        opening._thread.daemon = True
        try:
            connection = await opening
            for pragma in self._pragmas():
                await self._set(connection, pragma)
        except BaseException:
            # Its thread ends when it is done with what it was asked for, and tells our loop, which must still be there.
            opening.stop()
            await asyncio.to_thread(opening._thread.join, CLOSE_S)
            raise
        self._open_ones.add(connection)
        return connection

    async def _set(self, connection: aiosqlite.Connection, pragma: str) -> None:
        """Set it, waiting for whoever has the file: SQLite itself does not, where the kind of journal is changed."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._timeout_s
        while True:
            try:
                cursor = await connection.execute(f"PRAGMA {pragma}")
                return await cursor.close()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or loop.time() >= until_s:
                    raise
            await asyncio.sleep(BUSY_S)

    def _pragmas(self) -> Iterable[str]:
        yield f"busy_timeout = {int(self._timeout_s * 1000)}"
        yield "foreign_keys = ON"
        if not self._is_memory:
            yield "journal_mode = WAL"
            # A token that was handed out must still be there after a power cut.
            yield "synchronous = FULL"
        if self._is_reader:
            yield "query_only = ON"

    async def _close(self, connection: aiosqlite.Connection) -> None:
        with suppress(TimeoutError, ValueError, sqlite3.Error):
            async with asyncio.timeout(CLOSE_S):
                await connection.close()
                self._open_ones.discard(connection)


def _identity(database: str) -> object:
    """What SQLite knows a file by; its path while there is none."""
    try:
        facts = Path(database).stat()
    except OSError:
        return database
    return facts.st_dev, facts.st_ino


class PooledBackend(SQLiteBackend):
    """What ``databases`` finds under our scheme."""

    def __init__(self, database_url: DatabaseURL | str, **options: Any) -> None:
        # The name travels as an option: a URL loses the parameters of a ``file:`` name.
        super().__init__(database_url)
        self._is_reader: bool = options["is_reader"]
        self._pool: Any = Pool(**options)

    async def disconnect(self) -> None:
        await self._pool.close()

    def connection(self) -> SQLiteConnection:
        return PooledConnection(self._pool, self._dialect, is_reader=self._is_reader)


class PooledConnection(SQLiteConnection):
    """A connection whose transactions take the write lock at once, unless it only reads."""

    def __init__(self, pool: Any, dialect: Any, *, is_reader: bool) -> None:
        super().__init__(pool, dialect)
        self.is_reader = is_reader

    def transaction(self) -> SQLiteTransaction:
        return ImmediateTransaction(self)


class ImmediateTransaction(SQLiteTransaction):
    """Two transactions that read before they write wait for each other here instead of failing at the end."""

    async def start(self, is_root: bool, extra_options: dict[Any, Any]) -> None:  # noqa: ARG002
        assert is_root, "the contract refuses nested transactions"
        self._is_root = True
        connection = self._connection
        assert isinstance(connection, PooledConnection)
        begin = "BEGIN" if connection.is_reader else "BEGIN IMMEDIATE"
        cursor = await connection.raw_connection.execute(begin)
        await cursor.close()
