"""Asking for a job: the row and its first line, in the caller's transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Insert, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import new_id, now, on_sqlite
from app.jobs.models import BackgroundJob, JobEvent
from app.jobs.states import JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is stored of a request for work. `run_after` None means at once."""

    kind: str
    queue: str
    args: dict[str, Any]
    max_attempts: int
    priority: int = 0
    lane: str | None = None
    unique_key: str | None = None
    owner_id: UUID | None = None
    parent_id: UUID | None = None
    run_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The row that answers a request; `new` is False when an equal job was already active."""

    id: UUID
    kind: str
    queue: str
    status: JobStatus
    priority: int
    run_after: datetime
    new: bool


_STORED = (
    BackgroundJob.id,
    BackgroundJob.kind,
    BackgroundJob.queue,
    BackgroundJob.status,
    BackgroundJob.priority,
    BackgroundJob.run_after,
)


async def store(session: AsyncSession, request: Request) -> Stored:
    """Insert the row, or find the active one with the same kind and unique key.

    The key is a unique index: of two requests at one moment, one inserts and the other finds.
    """
    while True:
        row = (await session.execute(_insert(session, request))).one_or_none()
        if row is not None:
            await _tell_queued(session, row.id)
            return _stored(row, new=True)
        found = await _active(session, request)
        if found is not None:
            return found
        # The equal job ended between the two statements: ask again.


async def store_slot(
    session: AsyncSession, request: Request, schedule: str, slot: datetime
) -> Stored | None:
    """Insert the job of one tick of a schedule, or nothing when that tick has its row.

    Also nothing when the slot lies ahead of the database's clock: whoever knocked was early.
    """
    columns = _values(request) | {"schedule": literal(schedule), "slot": slot}
    table = BackgroundJob.__table__
    chosen = select(
        *[
            value if hasattr(value, "label") else literal(value, table.c[name].type)
            for name, value in columns.items()
        ]
    ).where(literal(slot, table.c.slot.type) <= now())
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    statement = (
        dialect.insert(BackgroundJob)
        .from_select(list(columns), chosen)
        .on_conflict_do_nothing(index_elements=["schedule", "slot"])
        .returning(*_STORED)
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return None
    await _tell_queued(session, row.id)
    return _stored(row, new=True)


async def next_ring(session: AsyncSession, ids: list[UUID]) -> dict[UUID, int]:
    """Number the next ring of each queued job, so that no ring's id is ever used twice."""
    statement = (
        update(BackgroundJob)
        .where(BackgroundJob.id.in_(ids), BackgroundJob.status == JobStatus.QUEUED)
        .values(ring=BackgroundJob.ring + 1, rung_at=now())
        .returning(BackgroundJob.id, BackgroundJob.ring)
    )
    return {row.id: row.ring for row in (await session.execute(statement)).all()}


def _insert(session: AsyncSession, request: Request) -> Insert:
    values = _values(request)
    if request.unique_key is None:
        return insert(BackgroundJob).values(**values).returning(*_STORED)
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    statement: Insert = (
        dialect.insert(BackgroundJob).values(**values).on_conflict_do_nothing().returning(*_STORED)
    )
    return statement


def _values(request: Request) -> dict[str, Any]:
    return {
        "id": new_id(),
        "kind": request.kind,
        "queue": request.queue,
        "status": JobStatus.QUEUED.value,
        "priority": request.priority,
        "lane": request.lane,
        "unique_key": request.unique_key,
        "owner_id": request.owner_id,
        "parent_id": request.parent_id,
        "args": request.args,
        "max_attempts": request.max_attempts,
        "run_after": now() if request.run_after is None else request.run_after,
        "created_at": now(),
        "ring": 1,
        "rung_at": now(),
    }


async def _tell_queued(session: AsyncSession, job_id: UUID) -> None:
    await session.execute(
        insert(JobEvent).values(job_id=job_id, at=now(), kind="queued", attempt=0)
    )


async def _active(session: AsyncSession, request: Request) -> Stored | None:
    statement = select(*_STORED).where(
        BackgroundJob.kind == request.kind,
        BackgroundJob.unique_key == request.unique_key,
        BackgroundJob.status.in_([JobStatus.QUEUED, JobStatus.RUNNING]),
    )
    row = (await session.execute(statement.order_by(BackgroundJob.seq))).first()
    return None if row is None else _stored(row, new=False)


def _stored(row: Any, *, new: bool) -> Stored:
    return Stored(
        row.id, row.kind, row.queue, JobStatus(row.status), row.priority, row.run_after, new
    )
