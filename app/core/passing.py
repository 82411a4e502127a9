"""Which database errors pass: the same transaction may succeed when it is run again."""

import sqlite3

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


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


def _passing_state(state: str) -> bool:
    return state[:2] in ("08", "40", "53", "57") or state in ("25006", "55P03")


def is_race(error: BaseException) -> bool:
    """Whether another transaction took the same unique key or lock first: run it again."""
    raw = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(raw, "sqlstate", None) or getattr(raw, "pgcode", None)
    return state in ("23505", "40P01", "40001") or "UNIQUE constraint" in str(raw)
