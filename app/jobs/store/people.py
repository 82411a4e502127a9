"""What people ask of a job: to stop it, and to try it again."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import now
from app.core.errors import Conflict, NotFound
from app.jobs import states
from app.jobs.models import BackgroundJob
from app.jobs.states import JobStatus
from app.jobs.store.moves import RETURNED, Moved, move, moved_row, standing, tell

_Row = BackgroundJob


def visible(owner_id: UUID | None) -> ColumnElement[bool]:
    """The rows that a caller sees: their own, or all of them when `owner_id` is None (admins)."""
    return true() if owner_id is None else _Row.owner_id == owner_id


async def status_of(session: AsyncSession, job_id: UUID, owner_id: UUID | None) -> tuple[str, str]:
    """Kind and status of a job. Raises `NotFound`."""
    statement = select(_Row.kind, _Row.status).where(_Row.id == job_id, visible(owner_id))
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound("there is no such job")
    return row.kind, row.status


async def cancel(session: AsyncSession, job_id: UUID, owner_id: UUID | None) -> Moved | None:
    """Cancel a queued job at once, or ask a running one to stop.

    Returns:
        The job: cancelled if it was queued, else still running, with the event
        `cancel_requested`. None when that had been asked before.

    Raises:
        NotFound: no such job, or not the caller's.
        Conflict: it has already ended.
    """
    await _hold(session, job_id)
    queued = standing(job_id, states.CANCEL_QUEUED)
    values = {"error_type": "cancelled", "error_message": "The job was cancelled before it ran."}
    moved = await move(session, states.CANCEL_QUEUED, *queued, visible(owner_id), values=values)
    if moved:
        return moved[0]
    asked = (
        update(_Row)
        .where(
            _Row.id == job_id,
            _Row.status == JobStatus.RUNNING,
            _Row.cancel_requested.is_(False),
            visible(owner_id),
        )
        .values(cancel_requested=True, version=_Row.version + 1)
        .returning(*RETURNED)
    )
    row = (await session.execute(asked)).one_or_none()
    if row is not None:
        await tell(session, "cancel_requested", [(job_id, row.attempt)], None, None)
        return moved_row(row, "cancel_requested", None)
    _kind, status = await status_of(session, job_id, owner_id)
    if JobStatus(status).ended:
        raise Conflict(f"the job is already {status}", code="already_ended")
    return None


async def _hold(session: AsyncSession, job_id: UUID) -> None:
    """Lock the row: between two statements it might be claimed, or be handed back."""
    await session.execute(select(_Row.seq).where(_Row.id == job_id).with_for_update())


async def retry(session: AsyncSession, job_id: UUID, owner_id: UUID | None, budget: int) -> Moved:
    """Queue a failed or cancelled job again: same id, checkpoint kept, `budget` more attempts.

    Raises:
        NotFound: no such job, or not the caller's.
        Conflict: it has not failed and was not cancelled, or an equal job is active.
    """
    try:
        async with session.begin_nested():
            moved = await move(
                session,
                states.RETRY,
                *standing(job_id, states.RETRY),
                visible(owner_id),
                data={"retried": True},
                values=CLEAN | {"run_after": now(), "max_attempts": _Row.max_attempts + budget},
            )
    except IntegrityError as error:
        raise Conflict("an equal job is queued or running", code="equal_job_active") from error
    if moved:
        return moved[0]
    _kind, status = await status_of(session, job_id, owner_id)
    raise Conflict(f"only failed and cancelled jobs are tried again; this one is {status}")


CLEAN: dict[str, Any] = {
    "lapses": 0,
    "error_type": None,
    "error_message": None,
    "error_trace": None,
    "completed_at": None,
    "cancel_requested": False,
    "worker_id": None,
}
