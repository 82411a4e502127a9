"""Writing rows in bulk: binary COPY on PostgreSQL, a prepared statement of many rows on SQLite.

Between two statements SQLite's thread waits for the interpreter, which may have other things to
do meanwhile. OR FAIL is for speed too: to undo a statement as ABORT does, SQLite would first copy
every page that it changes, and after an error nobody keeps what the transaction has written.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from app.backups.rows.making import Rows, Written
from app.core.db import Base, driver, on_sqlite

_AT_ONCE = 250  # rows of a statement: 32,766 values are allowed, and no table has 130 columns


async def write(
    session: AsyncSession, written: Written, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Add rows to their tables, as part of the session's transaction.

    Must not be the session's first statement: the driver's own calls do not begin a transaction.
    `meanwhile` is called for each table, when the database has its rows and works on them.
    """
    for model, rows in written:
        if rows:
            await _write(session, model, rows, meanwhile)


async def _write(
    session: AsyncSession, model: type[Base], rows: Rows, meanwhile: Callable[[], None]
) -> None:
    assert session.in_transaction()
    table, columns = _description(model)
    connection = await driver(session)
    if on_sqlite(session):
        meanwhile()
        whole = len(rows) // _AT_ONCE * _AT_ONCE
        await _insert(connection, model, rows[:whole], _AT_ONCE)
        await _insert(connection, model, rows[whole:], 1)
    else:
        told = chain(rows, iter(meanwhile, None))  # which is called when the last row is taken
        await connection.copy_records_to_table(table, records=told, columns=columns)


async def _insert(connection: Any, model: type[Base], rows: Rows, at_once: int) -> None:
    """Into SQLite, so many with each run of the statement; their number is a multiple of that."""
    starts = range(0, len(rows), at_once)
    values = [tuple(chain.from_iterable(rows[one : one + at_once])) for one in starts]
    if values:
        cursor = await connection.executemany(_statement(model, at_once), values)
        await cursor.close()


@lru_cache
def _description(model: type[Base]) -> tuple[str, list[str]]:
    table = model.__table__
    assert isinstance(table, Table)
    return table.name, [column.name for column in table.columns]


@lru_cache
def _statement(model: type[Base], rows: int) -> str:
    table, columns = _description(model)
    marks = f"({', '.join('?' * len(columns))})"
    given = ", ".join([marks] * rows)
    return f"INSERT OR FAIL INTO {table} ({', '.join(columns)}) VALUES {given}"  # noqa: S608 -- our own names
