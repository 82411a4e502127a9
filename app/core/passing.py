"""Which database errors pass: the same transaction may succeed when it is run again."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

T = TypeVar("T")

OUTAGE_PATIENCE = 3600.0  # seconds for which steps and endings wait for a database that is away


async def patiently(work: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Do `work` again and again while what stops it is passing.

    Args:
        work: called anew each time.
        seconds: after which the last error is raised.
    """
    deadline, pause = time.monotonic() + seconds, 0.02
    while True:
        try:
            return await work()
        except Exception as error:
            if not is_passing(error) or time.monotonic() + pause > deadline:
                raise
        await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 -- jitter
        pause = min(1.0, 2 * pause)


def is_passing(error: BaseException) -> bool:
    """Whether the same transaction may succeed when it is run again as it is.

    Serialization failures, deadlocks, a lost or refused connection,
    a server that is starting, stopping or read-only after a failover, and SQLite's "database is
    locked".
    """
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
        if state is not None:
            return _passing_state(state)
        said = str(error.orig)
        return "is locked" in said or "connection is closed" in said
    if isinstance(error, asyncpg.PostgresError | sqlite3.Error):
        state = getattr(error, "sqlstate", None) or ""
        return _passing_state(state) or "is locked" in str(error)
    gone = (
        OSError | TimeoutError | PoolTimeout | asyncpg.InterfaceError | asyncpg.InternalClientError
    )
    return isinstance(error, gone)


def is_outage(error: BaseException) -> bool:
    """Whether a database said it: passing, and not just any error of the system's."""
    return is_passing(error) and not isinstance(error, OSError)


def _passing_state(state: str) -> bool:
    return state[:2] in ("08", "40", "53", "57") or state in ("25006", "25P03", "55P03")


def is_bad_data(error: BaseException) -> bool:
    """Whether the database does not take a value: too large, forbidden, doubled, missing."""
    raw = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(raw, "sqlstate", None) or getattr(raw, "pgcode", None) or ""
    own = sqlite3.IntegrityError | sqlite3.DataError | OverflowError
    return state[:2] in ("22", "23", "54") or isinstance(raw, own)


def is_race(error: BaseException) -> bool:
    """Whether another transaction took the same unique key or lock first: run it again."""
    raw = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(raw, "sqlstate", None) or getattr(raw, "pgcode", None)
    return state in ("23505", "40P01", "40001") or "UNIQUE constraint" in str(raw)
