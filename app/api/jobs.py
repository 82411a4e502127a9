"""/jobs: what was asked for, where it stands, and what people may do about it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.accepted import accepted_job, answer
from app.api.auth import User, owner_of
from app.api.deps import (
    LedgerDep,
    OnceDep,
    Page,
    PageDep,
    QueueDep,
    ServicesDep,
    SessionDep,
    UserDep,
)
from app.api.examples import EVENTS, JOBS
from app.api.schemas import problems, starts_work
from app.api.services import Services
from app.core.db import after_commit
from app.core.errors import NotFound
from app.jobs.states import JobStatus
from app.jobs.store import people, read

router = APIRouter(prefix="/jobs", tags=["jobs"])

_WHOLE_TRAIL = 200  # lines of a job's story; few jobs have more, and half a story misleads


async def _trail(
    limit: Annotated[int, Query(ge=1, le=200)] = _WHOLE_TRAIL,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Page:
    return Page(limit, offset)


@router.get("", summary="List jobs", responses=JOBS)
async def list_jobs(
    user: UserDep,
    services: ServicesDep,
    page: PageDep,
    status: JobStatus | None = None,
    job_type: Annotated[str | None, Query(min_length=1, max_length=64)] = None,
) -> Response:
    """The caller's jobs (an admin's: everybody's), newest first, and how many there are."""
    jobs, total = await read.page(
        services.reader,
        _owner_text(user),
        status=status,
        kind=None if job_type is None else job_type.replace("\0", ""),
        limit=page.limit,
        offset=page.offset,
    )
    return answer({"jobs": jobs, "total": total})


@router.get(
    "/{job_id}/events", summary="Read a job's audit trail", responses=EVENTS | problems(404)
)
async def list_events(
    job_id: UUID, user: UserDep, services: ServicesDep, page: Annotated[Page, Depends(_trail)]
) -> Response:
    """Everything that happened to the job, oldest first."""
    if await read.one(services.reader, str(job_id), _owner_text(user)) is None:
        raise NotFound("there is no such job")
    events, total = await read.events(
        services.reader, str(job_id), limit=page.limit, offset=page.offset
    )
    return answer({"events": events, "total": total})


@router.post(
    "/{job_id}/cancel", status_code=202, summary="Cancel a job", responses=starts_work(404)
)
async def cancel(
    job_id: UUID,
    user: UserDep,
    session: SessionDep,
    services: ServicesDep,
    ledger: LedgerDep,
    once: OnceDep,
) -> Response:
    """A queued job is cancelled at once, a running one asked to stop; 409 once it has ended."""

    async def work() -> Response:
        await ledger.cancel(session, job_id, owner_of(user))
        return await _as_it_stands(session, services, job_id, _CANCELLED)

    return await once.answer(session, None, work)


@router.post(
    "/{job_id}/retry", status_code=202, summary="Try a job again", responses=starts_work(404)
)
async def retry(
    job_id: UUID,
    user: UserDep,
    session: SessionDep,
    services: ServicesDep,
    ledger: LedgerDep,
    _starts_work: QueueDep,
    once: OnceDep,
) -> Response:
    """A failed or cancelled job is queued again under its id and goes on from its checkpoint."""

    async def work() -> Response:
        await ledger.retry(session, job_id, owner_of(user))
        return await _as_it_stands(session, services, job_id, _RETRIED)

    return await once.answer(session, None, work)


_CANCELLED = {
    JobStatus.CANCELLED: "The job is cancelled.",
    JobStatus.RUNNING: "The job was asked to stop.",
}
_RETRIED = {JobStatus.QUEUED: "The job is queued again."}


async def _as_it_stands(
    session: AsyncSession, services: Services, job_id: UUID, messages: dict[JobStatus, str]
) -> Response:
    _kind, status = await people.status_of(session, job_id, None)
    after_commit(session, services.feed.seen.forget)
    return accepted_job(job_id, status, messages.get(JobStatus(status), f"The job is {status}."))


def _owner_text(user: User) -> str | None:
    owner = owner_of(user)
    return None if owner is None else str(owner)
