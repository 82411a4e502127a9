"""The raw drivers under the polling GET: no pool of SQLAlchemy, no transaction, few objects.

A database that restarts is asked again until it is back, so that a reader does not see it go;
one that stays away is `Unavailable` within five seconds.
"""

import asyncio
import re
import sqlite3
from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import aiosqlite
import asyncpg

from app.core.clock import utcnow, wire
from app.core.db import Database, asyncpg_dsn
from app.core.errors import Unavailable
from app.jobs.store.read import Line, Reader

_SECONDS = 4.5  # for everything, tries included
_POOL = 8  # connections of one process; sizes from 4 to 16 measured the same
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25
# The internal one is what a connection says that was told of the shutdown while it was idle.
_BROKEN = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
_PASSING = ("08", "53", "57")  # SQLSTATE classes of a server that goes or comes


def open_reader(db: Database) -> "PostgresReader | SqliteReader":
    """The reader of this database; nothing is connected before its first use."""
    if db.is_sqlite:
        return SqliteReader(db.url.database or ":memory:")
    return PostgresReader(asyncpg_dsn(db.url))


class _Patient(Reader):
    """Asks again while the trouble is passing."""

    async def rows(self, sql: str, *values: Any) -> Sequence[Line]:
        """All rows, however often it takes to get them."""
        deadline, pause = asyncio.get_running_loop().time() + _SECONDS, _FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._rows(sql, values)
            except Exception as error:
                if not _is_passing(error):
                    raise
                if asyncio.get_running_loop().time() + pause > deadline:
                    raise Unavailable("the database does not answer", retry_after=1) from error
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    @abstractmethod
    async def _rows(self, sql: str, values: Sequence[Any]) -> Sequence[Line]:
        """All rows, in one try."""

    @abstractmethod
    async def close(self) -> None:
        """Give the connections back."""


class PostgresReader(_Patient):
    """A few asyncpg connections. Theirs is no `reset` between uses, which would be a round trip."""

    is_sqlite = False

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._slots = asyncio.Semaphore(_POOL)
        self._idle: list[asyncpg.Connection[Any]] = []

    async def _rows(self, sql: str, values: Sequence[Any]) -> Sequence[Line]:
        async with self._slots:
            connection = await self._take()
            try:
                found: Sequence[Line] = await connection.fetch(_for_postgresql(sql), *values)
            except BaseException:
                connection.terminate()  # whatever it was, the next one gets a fresh connection
                raise
            self._idle.append(connection)
            return found

    async def _take(self) -> "asyncpg.Connection[Any]":
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await asyncpg.connect(self._dsn, timeout=_SECONDS)

    async def close(self) -> None:
        """Close what is idle; nothing is at work any more."""
        while self._idle:
            self._idle.pop().terminate()


class SqliteReader(_Patient):
    """One connection, which only reads, in a thread of its own."""

    is_sqlite = True

    def __init__(self, path: str) -> None:
        self._path = path
        self._opening = asyncio.Lock()
        self._connection: aiosqlite.Connection | None = None

    async def _rows(self, sql: str, values: Sequence[Any]) -> Sequence[Line]:
        connection = self._connection or await self._open()
        named = {f"v{n}": value for n, value in enumerate(values, 1)}
        found = await connection.execute_fetchall(_for_sqlite(sql), named)
        return list(found)

    async def _open(self) -> aiosqlite.Connection:
        async with self._opening:
            if self._connection is None:
                connection = await aiosqlite.connect(
                    self._path, isolation_level=None, timeout=_SECONDS
                )
                await connection.create_function(
                    "headway_now", 0, lambda: wire(utcnow()), deterministic=True
                )
                await connection.execute_fetchall("PRAGMA query_only = ON")
                self._connection = connection
            return self._connection

    async def close(self) -> None:
        """End the connection and its thread."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


@lru_cache(maxsize=128)
def _for_postgresql(sql: str) -> str:
    return sql.replace("?", "$").replace("{now}", "statement_timestamp()")


@lru_cache(maxsize=128)
@lru_cache(maxsize=64)
def _for_sqlite(sql: str) -> str:
    # Numbered placeholders with a plain sequence are deprecated since Python 3.12.
    return re.sub(r"\?(\d+)", r":v\1", sql.replace("{now}", "headway_now()"))


def _is_passing(error: Exception) -> bool:
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in _PASSING
    if isinstance(error, sqlite3.OperationalError):
        return "locked" in str(error) or "unable to open" in str(error)
    return isinstance(error, _BROKEN)
