"""Moving a job along an edge of the state machine, with the line in its audit trail.

A move by a worker is fenced: it names the row by key and lease token only, and no row moved
means that the worker was presumed dead. A move by anybody else names the states it leaves.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    case,
    func,
    insert,
    literal,
    text,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import UtcDateTime, now
from app.core.db import Database, fetch, on_sqlite
from app.core.hot import SqliteTrips
from app.jobs import states
from app.jobs.models import BackgroundJob, JobEvent
from app.jobs.spec import Change
from app.jobs.states import Edge, JobStatus

_Row = BackgroundJob
RETURNED = (
    _Row.id, _Row.kind, _Row.status, _Row.args, _Row.owner_id, _Row.parent_id, _Row.error_type,
    _Row.error_message, _Row.queue, _Row.lane, _Row.priority, _Row.run_after, _Row.attempt,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moved:
    """A job that has just moved, and what the lane and the bell need to know of it."""

    change: Change
    queue: str
    lane: str | None
    priority: int
    run_after: datetime


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt that completed ended, for `complete`."""

    job_id: UUID
    lease_token: UUID
    result: Any


async def move(
    session: AsyncSession,
    edge: Edge,
    *conditions: ColumnElement[bool],
    worker: str | None = None,
    data: dict[str, Any] | None = None,
    values: Mapping[str, Any] = MappingProxyType({}),
) -> list[Moved]:
    """Move every job that meets `conditions` along `edge`; give back those that moved.

    Leaving `running` takes the lease away, an end stamps `completed_at`, and `values` are set
    besides. One line per job is added to the audit trail, with `worker` and `data`.
    """
    changed: dict[str, Any] = {"status": edge.target, "version": _Row.version + 1}
    if edge.sources == {JobStatus.RUNNING}:
        changed |= {"lease_token": None, "lease_expires_at": None, "lease_boot": None}
    if edge.target.ended:
        changed |= {"completed_at": now(), "items_per_second": None, "eta_seconds": None}
    statement = (
        update(_Row).where(*conditions).values(**(changed | dict(values))).returning(*RETURNED)
    )
    rows = (await session.execute(statement)).all()
    moved = [moved_row(row, edge.event, worker) for row in rows]
    await tell(session, edge.event, [(row.id, row.attempt) for row in rows], worker, data)
    return moved


async def complete(session: AsyncSession, endings: Sequence[Ending], worker: str) -> list[Moved]:
    """Complete many running jobs in one statement; those whose token no longer stands stay out."""
    values = _complete_values(endings, worker)
    if not on_sqlite(session):
        rows = (await session.execute(text(_COMPLETE_POSTGRESQL), values)).all()
        return [moved_row(_Returned(*row), states.COMPLETE.event, worker) for row in rows]
    rows = await fetch(session, _COMPLETE_SQLITE, _for_sqlite(values))
    await fetch(session, _TELL_SQLITE, _told_sqlite(rows, worker))
    return [moved_row(_Returned(*row), states.COMPLETE.event, worker) for row in rows]


async def complete_at_once(db: Database, endings: Sequence[Ending], worker: str) -> list[Moved]:
    """The same in one trip of its own, for kinds without a hook."""
    values = _complete_values(endings, worker)
    if not isinstance(db.hot, SqliteTrips):
        rows: Sequence[Any] = await db.hot.fetch(_COMPLETE_POSTGRESQL, values)
    else:

        def work(connection: sqlite3.Connection) -> list[Any]:
            done = connection.execute(_COMPLETE_SQLITE, _for_sqlite(values)).fetchall()
            connection.execute(_TELL_SQLITE, _told_sqlite(done, worker))
            return done

        rows = await db.hot.write(work)
    return [moved_row(_Returned(*row), states.COMPLETE.event, worker) for row in rows]


def _complete_values(endings: Sequence[Ending], worker: str) -> dict[str, Any]:
    results = {str(e.job_id): e.result for e in endings if e.result is not None}
    return {
        "ids": [str(e.job_id) for e in endings],
        "tokens": [str(e.lease_token) for e in endings],
        "results": json.dumps(results),
        "worker": worker,
    }


def _for_sqlite(values: Mapping[str, Any]) -> dict[str, Any]:
    lists = {name: json.dumps(values[name]) for name in ("ids", "tokens")}
    return lists | {"results": values["results"]}


def _told_sqlite(rows: Sequence[Any], worker: str) -> dict[str, Any]:
    return {"ids": json.dumps([row[0] for row in rows]), "worker": worker}


async def tell(
    session: AsyncSession,
    event: str,
    jobs: Iterable[tuple[UUID, int]],
    worker: str | None,
    data: dict[str, Any] | None,
) -> None:
    """Add one line to the audit trail of each job, given by id and attempt."""
    lines = [
        {"job_id": job_id, "at": now(), "kind": event, "attempt": attempt}
        | {"worker": worker, "data": data}
        for job_id, attempt in jobs
    ]
    if lines:
        await session.execute(insert(JobEvent).values(lines))


def from_now(session: AsyncSession, seconds: float) -> ColumnElement[datetime]:
    """The database's clock in so many seconds, as an expression."""
    if on_sqlite(session):
        return type_coerce(func.headway_later(seconds), UtcDateTime())
    later = func.clock_timestamp(type_=DateTime(timezone=True)) + literal(
        timedelta(seconds=seconds), INTERVAL()
    )
    return type_coerce(later, UtcDateTime())


def fenced(job_id: UUID, lease_token: UUID) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The conditions of a worker's write: the row's key and its lease token, nothing else."""
    return _Row.id == job_id, _Row.lease_token == lease_token


def standing(job_id: UUID, edge: Edge) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The conditions of anybody else's write: the row's key and the states the edge leaves."""
    return _Row.id == job_id, _Row.status.in_(sorted(edge.sources))


def attempt_not_consumed() -> ColumnElement[int]:
    """The attempt counter as if the present attempt had not begun."""
    return case((_Row.attempt > 0, _Row.attempt - 1), else_=0)


def moved_row(row: Any, event: str, worker: str | None) -> Moved:
    """A row of `RETURNED` as a job that has just moved."""
    change = Change(
        job_id=row.id,
        kind=row.kind,
        status=JobStatus(row.status),
        event=event,
        args=row.args,
        owner_id=row.owner_id,
        parent_id=row.parent_id,
        error_type=row.error_type,
        error_message=row.error_message,
        worker=worker,
    )
    return Moved(change, row.queue, row.lane, row.priority, row.run_after)


class _Returned:
    """A row of hand-written SQL on either driver, by the names of `RETURNED`."""

    def __init__(self, *values: Any) -> None:
        read: dict[str, Callable[[Any], Any]] = {"id": _uuid, "args": _json, "run_after": _moment}
        read |= {"owner_id": _uuid, "parent_id": _uuid}
        for column, value in zip(RETURNED, values, strict=True):
            setattr(self, column.key, read.get(column.key, _same)(value))


def _uuid(value: Any) -> UUID | None:
    return UUID(value) if isinstance(value, str) else value


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _moment(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _same(value: Any) -> Any:
    return value


_COLUMNS = ", ".join(column.key for column in RETURNED)
_DONE = (
    "status = 'completed', progress_percent = 100, version = version + 1, lease_token = NULL, "
    "lease_expires_at = NULL, lease_boot = NULL, items_per_second = NULL, eta_seconds = NULL, "
    "error_type = NULL, error_message = NULL, error_trace = NULL, cancel_requested = false, lapses = 0"
)
# Ids and tokens only: a test of the status would let the planner walk the index of running rows.
_COMPLETE_POSTGRESQL = f"""
WITH done AS (
  UPDATE background_jobs j SET {_DONE}, completed_at = clock_timestamp(),
    result = CAST(:results AS jsonb) -> CAST(j.id AS text)
  WHERE j.id = ANY(CAST(:ids AS uuid[])) AND j.lease_token = ANY(CAST(:tokens AS uuid[]))
  RETURNING {_COLUMNS}),
told AS (
  INSERT INTO job_events (job_id, at, kind, attempt, worker)
  SELECT id, clock_timestamp(), 'completed', attempt, :worker FROM done)
SELECT {_COLUMNS} FROM done"""  # noqa: S608 -- column names from this page
_COMPLETE_SQLITE = f"""
UPDATE background_jobs SET {_DONE}, completed_at = headway_now(),
  result = json_extract(:results, '$."' || id || '"')
WHERE id IN (SELECT value FROM json_each(:ids))
  AND lease_token IN (SELECT value FROM json_each(:tokens))
RETURNING {_COLUMNS}"""  # noqa: S608
_TELL_SQLITE = """
INSERT INTO job_events (job_id, at, kind, attempt, worker)
SELECT id, completed_at, 'completed', attempt, :worker FROM background_jobs
WHERE id IN (SELECT value FROM json_each(:ids))"""
