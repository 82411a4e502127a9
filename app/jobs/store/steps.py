"""What a running job's owner writes: steps and the renewal of leases. All fenced."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Float, func, literal, select, type_coerce, update
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import boot_id
from app.core.columns import LeaseEnd, now
from app.core.db import on_sqlite
from app.jobs.models import BackgroundJob, JobEvent
from app.jobs.states import JobStatus
from app.jobs.store.moves import fenced

_Row = BackgroundJob


async def save_step(
    session: AsyncSession, job_id: UUID, lease_token: UUID, lease_seconds: float, **values: Any
) -> bool | None:
    """Store progress and checkpoint, renew the lease, forget earlier lapses.

    Returns:
        Whether the job has been asked to stop; None when the token no longer stands.
    """
    statement = (
        update(_Row)
        .where(*fenced(job_id, lease_token))
        .values(
            lapses=0,
            version=_Row.version + 1,
            heartbeat_at=now(),
            **lease(session, lease_seconds),
            **values,
        )
        .returning(_Row.cancel_requested)
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def first_start(session: AsyncSession, job_id: UUID) -> datetime | None:
    """When the job's first attempt began; None if none has."""
    began = select(func.min(JobEvent.at)).where(JobEvent.job_id == job_id)
    moment: datetime | None = await session.scalar(began.where(JobEvent.kind == "started"))
    return moment


async def renew(
    session: AsyncSession, held: Mapping[UUID, UUID], lease_seconds: float
) -> dict[UUID, bool]:
    """Renew all leases of a process in one statement. No reader sees a new version.

    Args:
        session: an open transaction.
        held: lease token by job id.
        lease_seconds: how long the leases last from now on.

    Returns:
        For each job still held, whether it has been asked to stop.
    """
    statement = (
        update(_Row)
        .where(_Row.id.in_(held.keys()), _Row.lease_token.in_(held.values()))
        .values(heartbeat_at=now(), **lease(session, lease_seconds))
        .returning(_Row.id, _Row.cancel_requested)
    )
    return {row.id: row.cancel_requested for row in (await session.execute(statement)).all()}


def lease(session: AsyncSession, seconds: float) -> dict[str, Any]:
    """The columns of a lease that ends in `seconds`.

    PostgreSQL counts on its own clock. SQLite has none, but all its processes share one host,
    so it counts seconds since boot, which no jump of the wall clock moves.
    """
    if on_sqlite(session):
        end = func.headway_boot_seconds(type_=Float()) + seconds
        return {"lease_expires_at": end, "lease_boot": boot_id()}
    later = func.clock_timestamp(type_=DateTime(timezone=True)) + literal(
        timedelta(seconds=seconds), INTERVAL()
    )
    return {"lease_expires_at": type_coerce(later, LeaseEnd)}


def lapsed(session: AsyncSession) -> ColumnElement[bool]:
    """The condition of a running row whose lease has ended."""
    running = _Row.status == JobStatus.RUNNING
    if on_sqlite(session):
        ended = _Row.lease_expires_at < func.headway_boot_seconds(type_=Float())
        return running & (ended | (_Row.lease_boot != boot_id()))
    return running & (_Row.lease_expires_at < func.statement_timestamp())
