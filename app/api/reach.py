"""Getting hold of the database, or saying within five seconds that it is away."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import Database, on_sqlite

_SQLITE_SECONDS = 4.5  # the wait is for another process's write
_POSTGRESQL_SECONDS = 2.5  # giving up takes SQLAlchemy two more, to say goodbye


async def reach(session: AsyncSession) -> None:
    """Begin the session's transaction, which on SQLite takes the writer's lock.

    Raises:
        TimeoutError: the database is away.
    """
    async with asyncio.timeout(_SQLITE_SECONDS if on_sqlite(session) else _POSTGRESQL_SECONDS):
        await session.connection()
        await _hear_from(session)


@asynccontextmanager
async def reading(db: Database) -> AsyncGenerator[AsyncSession]:
    """`db.reading()`, given up in time. Raises `TimeoutError`."""
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(_SQLITE_SECONDS if db.is_sqlite else _POSTGRESQL_SECONDS):
            session = await stack.enter_async_context(db.reading())
            await _hear_from(session)
        yield session


async def _hear_from(session: AsyncSession) -> None:
    """Notice here, and not a minute into the work, that a PostgreSQL server hangs."""
    if not on_sqlite(session):
        await session.execute(text("SELECT 1"))
