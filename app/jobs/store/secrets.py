"""Secrets that jobs need: sealed, kept no longer than the job, and a day at the most."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import now
from app.core.sealing import seal, unseal
from app.jobs.models import JobSecret
from app.jobs.store.moves import from_now

_READABLE_SECONDS = 24 * 3600.0
_FORGOTTEN_SECONDS = 23 * 3600.0  # the next look is an hour later


async def keep(session: AsyncSession, key: bytes, job_id: UUID, secret: str) -> None:
    """Seal a secret for a job that this transaction has just inserted."""
    sealed = seal(key, secret, str(job_id))
    row = {"job_id": job_id, "sealed": sealed, "created_at": now()}
    await session.execute(insert(JobSecret).values(row))


async def read(session: AsyncSession, key: bytes, job_id: UUID) -> str | None:
    """The secret of a job; None where there is none, or none any more."""
    statement = select(JobSecret.sealed).where(
        JobSecret.job_id == job_id, JobSecret.created_at > from_now(session, -_READABLE_SECONDS)
    )
    sealed = (await session.execute(statement)).scalar_one_or_none()
    return None if sealed is None else unseal(key, sealed, str(job_id))


async def forget(session: AsyncSession, job_ids: Sequence[UUID]) -> None:
    """Delete the secrets of jobs that end in this transaction."""
    await session.execute(delete(JobSecret).where(JobSecret.job_id.in_(job_ids)))


async def forget_old(session: AsyncSession) -> None:
    """Delete what is nearly a day old, whatever its job is doing."""
    old = JobSecret.created_at < from_now(session, -_FORGOTTEN_SECONDS)
    await session.execute(delete(JobSecret).where(old))
