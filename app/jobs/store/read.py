"""What people read of jobs: hand-written SQL on the raw driver, the same text on both dialects.

`?1` is the first value, `{now}` the database's clock at the start of the statement; a `Reader`
puts both into its dialect's words. On SQLite times come as the text that goes over the wire.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import wire
from app.jobs.models import BackgroundJob as _Row
from app.jobs.states import JobStatus

Line = Sequence[Any]


class Reader(Protocol):
    """Runs one statement at a time, outside of any transaction."""

    is_sqlite: bool

    async def rows(self, sql: str, *values: Any) -> Sequence[Line]:
        """All rows. Raises `Unavailable` when the database does not answer within its time."""
        ...


class JobView(msgspec.Struct, frozen=True):
    """A job as it goes over the wire, field for field in this order."""

    job_id: str
    job_type: str
    queue: str
    status: str
    progress_percent: int
    total_items: int | None
    processed_items: int
    failed_items: int
    stage: str | None
    message: str | None
    eta_seconds: float | None
    items_per_second: float | None
    attempt: int
    max_attempts: int
    lane: str | None
    priority: int
    parent_id: str | None
    created_at: str
    scheduled_at: str | None
    started_at: str | None
    heartbeat_at: str | None
    completed_at: str | None
    cancel_requested: bool
    error_type: str | None
    error_message: str | None
    result: msgspec.Raw | None

    @property
    def ended(self) -> bool:
        """Whether only a person's retry changes it any more."""
        return JobStatus(self.status).ended


class EventView(msgspec.Struct, frozen=True):
    """One line of the audit trail as it goes over the wire."""

    seq: int
    at: str
    kind: str
    attempt: int
    worker: str | None
    data: msgspec.Raw | None


@dataclass(frozen=True, slots=True)
class Crowd:
    """Active jobs of one status, kind and queue; `due` and `oldest_seconds` of the queued ones."""

    status: str
    kind: str
    queue: str
    count: int
    due: int
    oldest_seconds: float


COLUMNS = (
    "version, CAST(id AS text), kind, queue, status, progress_percent, total_items, "
    "processed_items, failed_items, stage, message, eta_seconds, items_per_second, attempt, "
    "max_attempts, lane, priority, CAST(parent_id AS text), created_at, "
    "CASE WHEN status = 'queued' AND run_after > {now} THEN run_after END, started_at, "
    "heartbeat_at, completed_at, cancel_requested, error_type, error_message, "
    "CAST(result AS text)"
)
_ONE = f"SELECT {COLUMNS} FROM background_jobs WHERE id = ?1"  # noqa: S608 -- from this page
_ONE_OF_OWNER = f"{_ONE} AND owner_id = ?2"


async def one(reader: Reader, job_id: str, owner: str | None) -> tuple[int, JobView] | None:
    """Version and view of a job that `owner` may see (None: everybody's), or None."""
    if owner is None:
        found = await reader.rows(_ONE, job_id)
    else:
        found = await reader.rows(_ONE_OF_OWNER, job_id, owner)
    return (found[0][0], view_of(found[0])) if found else None


async def page(
    reader: Reader,
    owner: str | None,
    *,
    status: str | None,
    kind: str | None,
    limit: int,
    offset: int,
) -> tuple[list[JobView], int]:
    """Jobs that `owner` may see, newest first, and how many there are in all."""
    conditions, values = _wanted(owner, status, kind)
    counted = await reader.rows(
        f"SELECT count(*) FROM background_jobs WHERE {conditions}",  # noqa: S608
        *values,
    )
    listed = await newest(reader, owner, status=status, kind=kind, limit=limit, offset=offset)
    return [view for _version, view in listed], counted[0][0]


async def newest(
    reader: Reader,
    owner: str | None,
    *,
    status: str | None,
    kind: str | None,
    limit: int,
    offset: int,
) -> list[tuple[int, JobView]]:
    """Version and view of jobs that `owner` may see, newest first; nothing is counted."""
    conditions, values = _wanted(owner, status, kind)
    n = len(values)
    listed = await reader.rows(
        f"SELECT {COLUMNS} FROM background_jobs WHERE {conditions} "  # noqa: S608
        f"ORDER BY seq DESC LIMIT ?{n + 1} OFFSET ?{n + 2}",
        *values,
        limit,
        offset,
    )
    return [(row[0], view_of(row)) for row in listed]


def _wanted(owner: str | None, status: str | None, kind: str | None) -> tuple[str, list[Any]]:
    """The condition of a list, and its values from ?1 on."""
    wanted = {"owner_id": owner, "status": status, "kind": kind}
    given = {column: value for column, value in wanted.items() if value is not None}
    conditions = " AND ".join(f"{name} = ?{n}" for n, name in enumerate(given, 1)) or "true"
    return conditions, list(given.values())


async def checkpoint(reader: Reader, job_id: str) -> str | None:
    """Where a retry of the job would go on, as JSON; None when it would begin at the beginning."""
    sql = "SELECT CAST(cursor AS text) FROM background_jobs WHERE id = ?1"
    found = await reader.rows(sql, job_id)
    return found[0][0] if found else None


async def events(
    reader: Reader, job_id: str, *, limit: int, offset: int
) -> tuple[list[EventView], int]:
    """The audit trail of a job, oldest first, and how many lines it has."""
    counted = await reader.rows("SELECT count(*) FROM job_events WHERE job_id = ?1", job_id)
    listed = await reader.rows(
        "SELECT seq, at, kind, attempt, worker, coalesce(CAST(data AS text), '{}') FROM job_events "
        "WHERE job_id = ?1 ORDER BY seq LIMIT ?2 OFFSET ?3",
        job_id,
        limit,
        offset,
    )
    lines = [EventView(r[0], _time(r[1]) or "", r[2], r[3], r[4], _raw(r[5])) for r in listed]
    return lines, counted[0][0]


async def crowds(reader: Reader) -> list[Crowd]:
    """The queued and running jobs, counted. Finished rows are not touched: partial indexes."""
    queued = (
        "SELECT 'queued', kind, queue, count(*), "  # noqa: S608 -- from this page
        f"count(CASE WHEN run_after <= {{now}} THEN 1 END), {oldest_due(reader)} "
        "FROM background_jobs WHERE status = 'queued' GROUP BY kind, queue"
    )
    running = (
        "SELECT 'running', kind, queue, count(*), 0, 0.0 "
        "FROM background_jobs WHERE status = 'running' GROUP BY kind, queue"
    )
    found = [*await reader.rows(queued), *await reader.rows(running)]
    return [Crowd(r[0], r[1], r[2], r[3], r[4], max(0.0, float(r[5] or 0))) for r in found]


def oldest_due(reader: Reader) -> str:
    """How many seconds ago the oldest of a group's queued rows became due, in SQL."""
    if reader.is_sqlite:
        due = "min(CASE WHEN run_after <= {now} THEN run_after END)"
        return f"(julianday({{now}}) - julianday({due})) * 86400"
    return "extract(epoch FROM {now} - min(run_after) FILTER (WHERE run_after <= {now}))"


async def ended_since(reader: Reader, moment: datetime, limit: int) -> Sequence[Line]:
    """Jobs that ended at `moment` or later, oldest end first.

    Returns:
        Rows of id, status, kind, queue, run_after, started_at, completed_at; times as in `Reader`.
    """
    sql = (
        "SELECT CAST(id AS text), status, kind, queue, run_after, started_at, completed_at "
        "FROM background_jobs WHERE status IN ('completed', 'failed', 'cancelled') "
        "AND completed_at >= ?1 ORDER BY completed_at LIMIT ?2"
    )
    return await reader.rows(sql, wire(moment) if reader.is_sqlite else moment, limit)


async def worker_counters(reader: Reader) -> Sequence[Line]:
    """Rows of worker id, jobs recovered and leases lost since its start, last seen."""
    return await reader.rows("SELECT id, recovered, leases_lost, last_seen_at FROM workers")


async def active_of(session: AsyncSession, owner_id: UUID) -> int:
    """How many queued and running jobs a user has, not counting children."""
    statement = select(func.count()).where(
        _Row.owner_id == owner_id,
        _Row.parent_id.is_(None),
        _Row.status.in_([JobStatus.QUEUED, JobStatus.RUNNING]),
    )
    return (await session.execute(statement)).scalar_one()


async def nth_newest(session: AsyncSession, owner_id: UUID, n: int) -> datetime | None:
    """When the n-th newest job that a user asked for was created; None if there are fewer."""
    statement = (
        select(_Row.created_at)
        .where(_Row.owner_id == owner_id, _Row.parent_id.is_(None))
        .order_by(_Row.seq.desc())
        .offset(n - 1)
        .limit(1)
    )
    return (await session.execute(statement)).scalar_one_or_none()


def view_of(row: Line) -> JobView:
    """The view of a row that begins with `COLUMNS`."""
    times = map(_time, row[18:23])
    fields = [*row[1:18], *times, bool(row[23]), row[24], row[25], _raw(row[26])]
    return JobView(*fields)


def _time(value: datetime | str | None) -> str | None:
    """As `wire`, four times as fast: asyncpg gives UTC, and there are five to a job."""
    if isinstance(value, datetime):
        return f"{value.isoformat(timespec='microseconds')[:26]}Z"
    return value


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())
