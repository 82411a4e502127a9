"""The workers that are alive, each in its own row."""

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import wire
from app.core.columns import now
from app.core.db import on_sqlite
from app.jobs.models import WorkerRow
from app.jobs.store.moves import from_now

ALIVE_SECONDS = 15.0  # since a worker was last seen, for those who show workers


async def sign_in(session: AsyncSession, worker_id: str, **facts: Any) -> None:
    """Add the row of a worker that starts, or refresh it."""
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    values = {"started_at": now(), "last_seen_at": now(), **facts}
    statement = dialect.insert(WorkerRow).values(id=worker_id, **values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["id"], set_={"last_seen_at": now(), **facts}
        )
    )


async def seen(session: AsyncSession, worker_id: str, **facts: Any) -> None:
    """Note that a worker is alive, and what it does now."""
    statement = update(WorkerRow).where(WorkerRow.id == worker_id)
    await session.execute(statement.values(last_seen_at=now(), **facts))


async def sign_out(session: AsyncSession, worker_id: str) -> None:
    """Remove the row of a worker that stops."""
    await session.execute(delete(WorkerRow).where(WorkerRow.id == worker_id))


async def forget_dead(session: AsyncSession, after_seconds: float) -> None:
    """Remove rows of workers that have not been seen for so long."""
    limit = from_now(session, -after_seconds)
    await session.execute(delete(WorkerRow).where(WorkerRow.last_seen_at < limit))


async def alive(session: AsyncSession, within_seconds: float) -> list[WorkerRow]:
    """Workers seen lately, oldest first."""
    limit = from_now(session, -within_seconds)
    statement = select(WorkerRow).where(WorkerRow.last_seen_at >= limit)
    return list((await session.scalars(statement.order_by(WorkerRow.started_at))).all())


async def shown(session: AsyncSession, within_seconds: float) -> list[dict[str, Any]]:
    """Workers seen lately, oldest first, as they go over the wire."""
    return [
        {
            "id": row.id,
            "host": row.host,
            "engine": row.engine,
            "queues": row.queues,
            "kinds": row.kinds,
            "max_jobs": row.max_jobs,
            "running": row.running,
            "started_at": wire(row.started_at),
            "last_seen_at": wire(row.last_seen_at),
        }
        for row in await alive(session, within_seconds)
    ]
