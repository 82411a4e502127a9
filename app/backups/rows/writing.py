"""Writing rows in bulk: binary COPY on PostgreSQL, one prepared statement per batch on SQLite."""

from functools import lru_cache

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from app.backups.rows.making import Rows, Written
from app.core.db import Base, driver, on_sqlite


async def write(session: AsyncSession, written: Written) -> None:
    """Add rows to their tables, as part of the session's transaction.

    Must not be the session's first statement: the driver's own calls do not begin a transaction.
    """
    for model, rows in written:
        if rows:
            await _write(session, model, rows)


async def _write(session: AsyncSession, model: type[Base], rows: Rows) -> None:
    assert session.in_transaction()
    table, columns, insert = _description(model)
    connection = await driver(session)
    if on_sqlite(session):
        cursor = await connection.executemany(insert, rows)
        await cursor.close()
    else:
        await connection.copy_records_to_table(table, records=rows, columns=columns)


@lru_cache
def _description(model: type[Base]) -> tuple[str, list[str], str]:
    table = model.__table__
    assert isinstance(table, Table)
    columns = [column.name for column in table.columns]
    marks = ", ".join("?" * len(columns))
    names = ", ".join(columns)
    insert = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 -- our own names
    return table.name, columns, insert
