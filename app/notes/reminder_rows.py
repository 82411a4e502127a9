"""All SQL on reminders: plain functions, the session first, nobody here commits.

What is due, the database's clock says. A reminder that is `sending` belongs to one job that is
queued or running: whatever way that job ends, its hook takes back what it had under way.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import due_now, now
from app.core.errors import Conflict, NotFound
from app.notes.models import Channel, Reminder, ReminderStatus
from app.notes.reminders import Due, Verdict

_Row = Reminder


async def add(
    session: AsyncSession,
    owner_id: UUID,
    *,
    message: str,
    scheduled_at: datetime,
    channel: Channel,
    recipient: str | None,
    note_id: UUID | None,
) -> Reminder:
    """Store a reminder that waits for its time."""
    moment = (await session.execute(select(now()))).scalar_one()
    row = Reminder(
        owner_id=owner_id,
        note_id=note_id,
        message=message,
        channel=channel,
        recipient=recipient,
        scheduled_at=scheduled_at,
        status=ReminderStatus.PENDING,
        tries=0,
        maybe_sent_twice=False,
        created_at=moment,
        updated_at=moment,
    )
    session.add(row)
    await session.flush()
    return row


async def newest(
    session: AsyncSession,
    owner_id: UUID | None,
    status: ReminderStatus | None,
    *,
    limit: int,
    offset: int,
) -> tuple[list[Reminder], int]:
    """Part of the owner's reminders (None: of everybody's), newest first, and how many there are."""
    mine = _seen_by(owner_id)
    if status is not None:
        mine &= _Row.status == status
    total = await session.scalar(select(func.count()).select_from(_Row).where(mine))
    rows = select(_Row).where(mine).order_by(_Row.id.desc()).limit(limit).offset(offset)
    return list(await session.scalars(rows)), total or 0


async def cancel(session: AsyncSession, reminder_id: UUID, owner_id: UUID | None) -> None:
    """Make sure that a reminder is not sent; one that is cancelled stays so.

    Raises:
        NotFound: no such reminder, or not the caller's.
        Conflict: it is being sent, or has been, or has failed.
    """
    mine = (_Row.id == reminder_id, _seen_by(owner_id))
    waiting = update(_Row).where(*mine, _Row.status == ReminderStatus.PENDING)
    cancelled = waiting.values(status=ReminderStatus.CANCELLED, updated_at=now())
    if (await session.execute(cancelled.returning(_Row.id))).first() is not None:
        return
    status = await session.scalar(select(_Row.status).where(*mine))
    if status is None:
        raise NotFound("there is no such reminder")
    if status != ReminderStatus.CANCELLED:
        raise Conflict(f"the reminder is {status} and cannot be cancelled")


# ---------------------------------------------------------------------------- for its job


async def count_due(session: AsyncSession, job_id: UUID) -> int:
    """How many reminders `claim` would give this job, one after another."""
    counted = select(func.count()).select_from(_Row).where(*_due(job_id, tuple(Channel)))
    return (await session.execute(counted)).scalar_one()


async def claim(session: AsyncSession, job_id: UUID, channels: Collection[Channel]) -> Due | None:
    """Take the reminder that has been due for longest, or None. Nobody else is given it.

    Not one that this job has already tried: it is for a later run.
    """
    longest = (
        select(_Row.id)
        .where(*_due(job_id, channels))
        .order_by(_Row.scheduled_at, _Row.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = (
        update(_Row)
        .where(_Row.id == longest.scalar_subquery())
        .values(
            status=ReminderStatus.SENDING,
            job_id=job_id,
            dated_at=func.coalesce(_Row.dated_at, now()),
            updated_at=now(),
        )
        .returning(_Row.id, _Row.message, _Row.channel, _Row.recipient, _Row.tries, _Row.dated_at)
    )
    row = (await session.execute(_quietly(taken))).one_or_none()
    return None if row is None else Due(*row)


async def record(session: AsyncSession, reminder_id: UUID, job_id: UUID, verdict: Verdict) -> None:
    """Note what a try came to."""
    values: dict[str, Any] = {"status": verdict.status, "error_message": verdict.reason}
    if verdict.status is ReminderStatus.SENT:
        values["sent_at"] = now()
    else:
        values["tries"] = _Row.tries + 1
    if verdict.unsure:
        values["maybe_sent_twice"] = True
    await session.execute(
        _quietly(_under_way(job_id, reminder_id).values(**values, updated_at=now()))
    )


async def put_back(session: AsyncSession, reminder_id: UUID, job_id: UUID) -> None:
    """Let a reminder wait that was certainly not handed over; it was no try."""
    waits = {"status": ReminderStatus.PENDING, "job_id": None, "updated_at": now()}
    await session.execute(_quietly(_under_way(job_id, reminder_id).values(**waits)))


async def take_back(session: AsyncSession, job_id: UUID) -> None:
    """Let everything wait that the job had under way when it was stopped or lost.

    It may have been handed over just before, so the rows say so. That was no try either: the
    message is not to blame.
    """
    waits = {"status": ReminderStatus.PENDING, "job_id": None, "updated_at": now()}
    statement = _under_way(job_id).values(**waits, maybe_sent_twice=True)
    await session.execute(_quietly(statement))


async def count_tried(session: AsyncSession, job_id: UUID) -> int:
    """How many reminders wait for a later run after a try in this one."""
    tried = (_Row.status == ReminderStatus.PENDING, _Row.job_id == job_id)
    return await session.scalar(select(func.count()).select_from(_Row).where(*tried)) or 0


def _due(job_id: UUID, channels: Collection[Channel]) -> tuple[ColumnElement[bool], ...]:
    return (
        _Row.status == ReminderStatus.PENDING,
        _Row.scheduled_at <= due_now(),
        or_(_Row.job_id.is_(None), _Row.job_id != job_id),
        _Row.channel.in_(channels),
    )


def _under_way(job_id: UUID, reminder_id: UUID | None = None) -> Any:
    found = update(_Row).where(_Row.status == ReminderStatus.SENDING, _Row.job_id == job_id)
    return found if reminder_id is None else found.where(_Row.id == reminder_id)


def _seen_by(owner_id: UUID | None) -> ColumnElement[bool]:
    return true() if owner_id is None else _Row.owner_id == owner_id


def _quietly(statement: Any) -> Any:
    """No objects of the session are looked for: there are none."""
    return statement.execution_options(synchronize_session=False)
