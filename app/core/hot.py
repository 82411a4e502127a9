"""The raw driver, for the few statements that decide the pace.

One trip each: on PostgreSQL one statement that commits by itself, on SQLite one hop to a thread
of its own with one transaction in it. SQLAlchemy's session costs three to five times as much.
"""

import asyncio
import re
import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.engine import URL

from app.core.sqlite import BUSY_SECONDS, prepare, take_writer_lock

T = TypeVar("T")

_PLACEHOLDER = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_POOL = 4


class PostgresTrips:
    """Single statements on connections of their own, each committed by itself."""

    def __init__(self, dsn: str, application: str) -> None:
        self._dsn = dsn
        self._application = application
        self._pools: dict[bool, asyncpg.Pool[asyncpg.Record]] = {}
        self._opening = asyncio.Lock()

    async def fetch(
        self, sql: str, values: Mapping[str, Any], *, durable: bool = True
    ) -> list[asyncpg.Record]:
        """Run one statement with `:name` placeholders.

        What is not `durable` does not wait for the disk. That is right for a claim: if the
        server crashes before it is written, the row is queued again, and the lost lease token
        fences off whoever thinks that he holds it.

        Nothing is sent twice here: a statement whose connection is lost may have committed.

        Raises:
            asyncpg.PostgresError, OSError: see `app.core.db.is_passing`.
        """
        statement, names = positional(sql)
        given = [values[name] for name in names]
        pool = await self._opened(durable)
        return list(await pool.fetch(statement, *given))

    async def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.terminate()
        self._pools.clear()

    async def _opened(self, durable: bool) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._opening:
            if durable not in self._pools:
                self._pools[durable] = await asyncpg.create_pool(
                    self._dsn,
                    min_size=1,
                    max_size=_POOL,
                    timeout=5,
                    command_timeout=30,
                    reset=_leave_as_it_is,  # nothing is set on these connections
                    server_settings={
                        "synchronous_commit": "on" if durable else "off",
                        "application_name": self._application,
                    },
                )
            return self._pools[durable]


class SqliteTrips:
    """Transactions in one hop to a thread that owns a connection."""

    def __init__(self, path: str, turn: threading.Lock) -> None:
        """`turn` is that of all who write to this file in this process."""
        self._path, self._turn = path, turn
        self._connections: dict[bool, sqlite3.Connection] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")

    async def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Run `work` in one transaction that holds the writer's lock.

        `durable` as for PostgreSQL: a claim need not wait for the disk.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._in_transaction, work, durable
        )

    async def close(self) -> None:
        """Close the connections and end the thread."""
        for connection in self._connections.values():
            await asyncio.get_running_loop().run_in_executor(self._thread, connection.close)
        self._thread.shutdown(wait=False)

    def _in_transaction(self, work: Callable[[sqlite3.Connection], T], durable: bool) -> T:
        connection = self._connection(durable)
        take_writer_lock(connection, self._turn)
        try:
            result = work(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result

    def _connection(self, durable: bool) -> sqlite3.Connection:
        if durable not in self._connections:
            connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            prepare(connection)
            if not durable:
                connection.execute("PRAGMA synchronous=NORMAL")
            self._connections[durable] = connection
        return self._connections[durable]


async def _leave_as_it_is(_connection: object) -> None:
    """Asyncpg would send four statements after each of ours."""


def hot_path(
    url: URL, dsn: str, application: str, turn: threading.Lock
) -> PostgresTrips | SqliteTrips:
    """The hot path to the database at `url`; nothing is opened before its first use."""
    if url.get_backend_name() == "sqlite":
        return SqliteTrips(url.database or ":memory:", turn)
    return PostgresTrips(dsn, application)


@lru_cache(maxsize=256)
def positional(sql: str) -> tuple[str, tuple[str, ...]]:
    """`sql` with `$1 …` for `:name …`, and the names in that order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return _PLACEHOLDER.sub(number, sql), tuple(names)
