"""What the sweep looks for: lost workers, lost rings, kinds nobody knows, rows past their time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.core.columns import due_now, now
from app.core.db import on_sqlite
from app.jobs.models import BackgroundJob, Duty, JobEvent
from app.jobs.states import ENDS, JobStatus
from app.jobs.store.moves import from_now
from app.jobs.store.steps import lapsed

_Row = BackgroundJob
_TICKS_KEPT = 2  # of each schedule, whatever their age
_PRUNE_BATCH = 1000  # rows per transaction: a long delete would hold SQLite's only lock


@dataclass(frozen=True, slots=True)
class Lost:
    """A running job whose worker is, or may be, gone."""

    id: UUID
    kind: str
    attempt: int
    lapses: int
    worker_id: str | None
    lease_token: UUID | None
    cancel_requested: bool
    run_after: datetime
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued job that may need a ring."""

    id: UUID
    kind: str
    queue: str
    priority: int
    run_after: datetime
    ring: int


_LOST = (
    _Row.id, _Row.kind, _Row.attempt, _Row.lapses, _Row.worker_id, _Row.lease_token,
    _Row.cancel_requested, _Row.run_after, _Row.args,
)  # fmt: skip
_WAITING = (_Row.id, _Row.kind, _Row.queue, _Row.priority, _Row.run_after, _Row.ring)


async def lapsed_jobs(session: AsyncSession, limit: int = 200) -> list[Lost]:
    """Running jobs whose lease has ended, longest first."""
    statement = select(*_LOST).where(lapsed(session)).order_by(_Row.lease_expires_at).limit(limit)
    return [Lost(*row) for row in (await session.execute(statement)).all()]


async def workers_of_host(session: AsyncSession, prefix: str) -> list[str]:
    """Who runs jobs, of those whose id begins with `prefix`: this boot, this PID namespace."""
    here = _Row.worker_id.startswith(prefix, autoescape=True)
    statement = select(_Row.worker_id).where(_Row.status == JobStatus.RUNNING, here).distinct()
    return [name for name in (await session.execute(statement)).scalars() if name is not None]


async def jobs_of(session: AsyncSession, workers: Sequence[str]) -> list[Lost]:
    """The running jobs of some workers."""
    statement = select(*_LOST).where(_Row.status == JobStatus.RUNNING, _Row.worker_id.in_(workers))
    return [Lost(*row) for row in (await session.execute(statement)).all()]


async def waiting(
    session: AsyncSession, queue: str, older_than: float, limit: int
) -> list[Waiting]:
    """Jobs of `queue` that have been due for more than `older_than` seconds, in claim order."""
    statement = (
        select(*_WAITING)
        .where(
            _Row.queue == queue,
            _Row.status == JobStatus.QUEUED,
            _Row.run_after <= from_now(session, -older_than),
            or_(_Row.rung_at.is_(None), _Row.rung_at <= from_now(session, -older_than)),
        )
        .order_by(_Row.priority.desc(), _Row.run_after, _Row.seq)
        .limit(limit)
    )
    return [Waiting(*row) for row in (await session.execute(statement)).all()]


async def not_yet_due(session: AsyncSession, ids: Sequence[UUID]) -> list[Waiting]:
    """Those of `ids` that are queued for later."""
    statement = select(*_WAITING).where(
        _Row.id.in_(ids), _Row.status == JobStatus.QUEUED, _Row.run_after > due_now()
    )
    return [Waiting(*row) for row in (await session.execute(statement)).all()]


async def lane_head(session: AsyncSession, lane: str) -> Waiting | None:
    """The queued job that runs next in `lane`, or None."""
    statement = (
        select(*_WAITING)
        .where(_Row.lane == lane, _Row.status == JobStatus.QUEUED, _Row.run_after <= due_now())
        .order_by(_Row.priority.desc(), _Row.seq)
        .limit(1)
    )
    row = (await session.execute(statement)).first()
    return None if row is None else Waiting(*row)


async def unclaimed_since(
    session: AsyncSession, age: timedelta, known: Sequence[str]
) -> list[UUID]:
    """Queued jobs of kinds outside `known` that nobody has claimed for `age`."""
    limit = from_now(session, -age.total_seconds())
    statement = select(_Row.id).where(
        _Row.status == JobStatus.QUEUED,
        _Row.kind.not_in(known),
        _Row.run_after <= limit,
        _Row.created_at <= limit,
    )
    return list((await session.execute(statement.limit(1000))).scalars())


async def queues_in_use(session: AsyncSession) -> list[str]:
    """The queues that hold queued jobs, found by hopping through the indexes, not by a scan."""
    found = set((await session.execute(text(_hop("lane IS NULL")))).scalars())
    found |= set((await session.execute(text(_hop("lane IS NOT NULL")))).scalars())
    return sorted(found)


def _hop(condition: str) -> str:
    first = (
        f"SELECT queue FROM background_jobs WHERE status = 'queued' AND {condition} "  # noqa: S608
        "{more} ORDER BY queue LIMIT 1"
    )
    return f"""
    WITH RECURSIVE hop(queue) AS (
      SELECT ({first.format(more="")})
      UNION ALL
      SELECT ({first.format(more="AND queue > hop.queue")}) FROM hop WHERE hop.queue IS NOT NULL)
    SELECT queue FROM hop WHERE queue IS NOT NULL"""  # noqa: S608


async def take_duty(session: AsyncSession, name: str, holder: str, seconds: float) -> bool:
    """Whether `holder` does the duty `name` for the next `seconds`; one process does at a time."""
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    await session.execute(
        dialect.insert(Duty).values(name=name, until=now()).on_conflict_do_nothing()
    )
    statement = (
        update(Duty)
        .where(Duty.name == name, or_(Duty.until <= now(), Duty.holder == holder))
        .values(holder=holder, until=from_now(session, seconds))
        .returning(Duty.name)
    )
    return (await session.execute(statement)).first() is not None


async def prune(
    session: AsyncSession,
    *,
    keep: timedelta,
    maintenance: Sequence[str],
    keep_maintenance: timedelta,
    keep_idle: timedelta,
) -> int:
    """Forget one batch of jobs that ended too long ago; how many.

    The newest ticks of each schedule stay, because their rows are what keeps a slot from running
    twice, also where clocks differ. A tick of maintenance that completed and found nothing is
    forgotten after `keep_idle`.
    """

    def ended(ago: timedelta) -> ColumnElement[bool]:
        return _Row.completed_at <= from_now(session, -ago.total_seconds())

    idle = and_(
        _Row.schedule.is_not(None),
        _Row.status == JobStatus.COMPLETED,
        _Row.processed_items == 0,
        _Row.failed_items == 0,
    )
    later = aliased(_Row)
    ticks_since = select(func.count()).where(
        later.schedule == _Row.schedule, later.slot > _Row.slot
    )
    old = and_(
        _Row.status.in_(sorted(ENDS)),
        or_(
            ended(keep),
            and_(_Row.kind.in_(maintenance), ended(keep_maintenance)),
            and_(_Row.kind.in_(maintenance), ended(keep_idle), idle),
        ),
        or_(_Row.schedule.is_(None), ticks_since.scalar_subquery() >= _TICKS_KEPT),
    )
    ids = list((await session.execute(select(_Row.id).where(old).limit(_PRUNE_BATCH))).scalars())
    if ids:
        await session.execute(delete(JobEvent).where(JobEvent.job_id.in_(ids)))
        await session.execute(delete(_Row).where(_Row.id.in_(ids)))
    return len(ids)
