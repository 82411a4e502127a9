"""Asking for a job: the row and its first line, in the caller's transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import wire
from app.core.columns import new_id, now
from app.core.db import fetch, on_sqlite
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


CHANNEL = "headway_jobs"  # where PostgreSQL announces the queues that have got work

_STORED = (
    BackgroundJob.id,
    BackgroundJob.kind,
    BackgroundJob.queue,
    BackgroundJob.status,
    BackgroundJob.priority,
    BackgroundJob.run_after,
)
_CONFLICT = (
    "ON CONFLICT (kind, unique_key) WHERE status IN ('queued', 'running') "
    "AND unique_key IS NOT NULL DO NOTHING"
)
_INSERT = """
INSERT INTO background_jobs (id, kind, queue, priority, lane, unique_key, owner_id, parent_id, args,
  max_attempts, run_after, created_at, ring, rung_at)
VALUES (:id, :kind, :queue, :priority, :lane, :unique_key, :owner_id, :parent_id, {args},
  :max_attempts, coalesce({run_after}, {now}), {now}, 1, {now})
{conflict} RETURNING {returned}"""
_INSERT_POSTGRESQL = _INSERT.format(
    args="CAST(:args AS jsonb)",
    now="clock_timestamp()",
    run_after="CAST(:run_after AS timestamptz)",
    conflict=_CONFLICT,
    returned="id, run_after",
)
_STORE_POSTGRESQL = f"""
WITH job AS ({_INSERT_POSTGRESQL}),
told AS (INSERT INTO job_events (job_id, at, kind, attempt)
  SELECT id, clock_timestamp(), 'queued', 0 FROM job)
SELECT run_after FROM job"""  # noqa: S608 -- made of the text above
_STORE_AND_ANNOUNCE = _STORE_POSTGRESQL.replace(
    "SELECT run_after FROM job", "SELECT run_after, pg_notify(:channel, :queue) FROM job"
)
_STORE_SQLITE = _INSERT.format(
    args=":args",
    now="headway_now()",
    run_after=":run_after",
    conflict=_CONFLICT,
    returned="run_after",
)
_TELL_SQLITE = (
    "INSERT INTO job_events (job_id, at, kind, attempt) VALUES (:id, headway_now(), 'queued', 0)"
)


async def store(session: AsyncSession, request: Request, *, announce: bool = False) -> Stored:
    """Insert the row, or find the active one with the same kind and unique key.

    With `announce`, on PostgreSQL, the commit itself tells those who listen on `CHANNEL`. The key
    is a unique index: of two requests at one moment, one inserts and the other finds.
    """
    while True:
        stored = await _insert(session, request, announce)
        if stored is None:
            stored = await _active(session, request)
        if stored is not None:
            return stored
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


async def _insert(session: AsyncSession, request: Request, announce: bool) -> Stored | None:
    """Insert the row and its first line: one statement on PostgreSQL, two hops on SQLite."""
    job_id = new_id()
    values = _columns(request, job_id)
    if not on_sqlite(session):
        if announce:
            told = values | {"channel": CHANNEL}
            return _new(request, job_id, await fetch(session, _STORE_AND_ANNOUNCE, told))
        return _new(request, job_id, await fetch(session, _STORE_POSTGRESQL, values))
    plain = {name: _plain(value) for name, value in values.items()}
    rows = await fetch(session, _STORE_SQLITE, plain)
    if rows:
        await fetch(session, _TELL_SQLITE, {"id": str(job_id)})
    return _new(request, job_id, rows)


def _columns(request: Request, job_id: UUID) -> dict[str, Any]:
    return {
        "id": job_id,
        "kind": request.kind,
        "queue": request.queue,
        "priority": request.priority,
        "lane": request.lane,
        "unique_key": request.unique_key,
        "owner_id": request.owner_id,
        "parent_id": request.parent_id,
        "args": json.dumps(request.args),
        "max_attempts": request.max_attempts,
        "run_after": request.run_after,
    }


def _new(request: Request, job_id: UUID, rows: Sequence[Any]) -> Stored | None:
    if not rows:
        return None
    when = rows[0][0]
    run_after = datetime.fromisoformat(when) if isinstance(when, str) else when
    waits = (JobStatus.QUEUED, request.priority, run_after)
    return Stored(job_id, request.kind, request.queue, *waits, new=True)


def _plain(value: Any) -> Any:
    """A value as SQLite stores it."""
    if isinstance(value, datetime):
        return wire(value)
    return str(value) if isinstance(value, UUID) else value


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
