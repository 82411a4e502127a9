"""A connection to SQLite: how it is set up, and how it comes by the writer's lock."""

import sqlite3
import threading
import time
from datetime import timedelta
from typing import Any

from app.core.clock import boot_seconds, utcnow, wire
from app.core.folding import fold, fold_foreign

BUSY_SECONDS = 4.0  # how long a write waits for another process's before it gives up
_LOOK_SECONDS = 0.001  # between two looks whether the lock is free
# A bulk load writes less: more of its indexes fit into the cache,
# and a checkpoint finds more than one change on a page.
_BULK = ("cache_size=-8192", "wal_autocheckpoint=8000")


def prepare(connection: Any) -> None:
    """Set up a new connection: WAL, foreign keys, and the functions of our SQL.

    Commits wait for the disk (FULL): what was acknowledged survives a loss of power.
    """
    cursor = connection.cursor()
    pragmas = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
    for pragma in (*pragmas, *_BULK):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    # Deterministic within one statement, so that SQLite asks once and can use an index.
    connection.create_function("headway_now", 0, lambda: wire(utcnow()), deterministic=True)
    connection.create_function("headway_later", 1, _later, deterministic=True)
    connection.create_function("headway_boot_seconds", 0, boot_seconds, deterministic=True)
    connection.create_function("headway_fold", 1, fold, deterministic=True)
    connection.create_function("headway_fold_foreign", 1, fold_foreign, deterministic=True)


def take_writer_lock(connection: sqlite3.Connection, turn: threading.Lock) -> None:
    """BEGIN IMMEDIATE, and wait for it up to BUSY_SECONDS.

    SQLite's own wait looks ten times a second in the end, and a busy writer's pauses are much
    shorter: beside one that never rests, a write took 2.5 s in the middle and not rarely gave
    up; with a look every millisecond 9 ms. `turn` is that of the process: one of its threads
    looks at a time, since each look takes the interpreter from whoever holds the lock.

    Raises:
        sqlite3.OperationalError: "database is locked", after that time.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    if not turn.acquire(timeout=BUSY_SECONDS):
        raise sqlite3.OperationalError("database is locked")
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while not _begun(connection, last=time.monotonic() > deadline):
            time.sleep(_LOOK_SECONDS)  # noqa: TID251 -- in the connection's own thread
    finally:
        turn.release()
        connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")


def _begun(connection: sqlite3.Connection, *, last: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _later(seconds: float) -> str:
    return wire(utcnow() + timedelta(seconds=seconds))
