"""SQLite for ``databases`` with a pool: WAL, immediate write transactions, foreign keys, and an end that does end.

The package's own back end opens a connection and a thread for every query and begins transactions that deadlock when
two of them want to write. Here one connection writes and several read.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import aiosqlite
from databases import Database as Driver
from databases import DatabaseURL
from databases.backends.sqlite import SQLiteBackend, SQLiteConnection, SQLiteTransaction

SCHEME: Final = "sqlite+bodhi"
CLOSE_S: Final = 5.0

Driver.SUPPORTED_BACKENDS[SCHEME] = "bodhi_asgi.db.sqlite:PooledBackend"


class Pool:
    """Up to ``size`` open connections to one file, given out one by one."""

    def __init__(self, database: str, *, size: int, timeout_s: float, is_reader: bool, is_memory: bool) -> None:
        self._database = database
        self._timeout_s = timeout_s
        self._is_reader = is_reader
        self._is_memory = is_memory
        self._free = asyncio.Semaphore(size)
        self._idle: deque[aiosqlite.Connection] = deque()
        self._busy: set[aiosqlite.Connection] = set()
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

    async def _open(self) -> aiosqlite.Connection:
        opening = aiosqlite.connect(self._database, isolation_level=None, uri=self._database.startswith("file:"))
        # A daemon: under a server that runs no lifespan nobody closes us, and the process must end all the same.
        opening._thread.daemon = True
        try:
            connection = await opening
            for pragma in self._pragmas():
                cursor = await connection.execute(f"PRAGMA {pragma}")
                await cursor.close()
        except BaseException:
            # Its thread ends when it is done with what it was asked for, and tells our loop, which must still be there.
            opening.stop()
            await asyncio.to_thread(opening._thread.join, CLOSE_S)
            raise
        return connection

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
