"""Changes of a job from the command line: through the ledger, with hooks and rings, as admin."""

from typing import Any
from uuid import UUID

from app.catalogue import registry
from app.jobs.engines import open_queue
from app.jobs.ledger import Ledger
from app.jobs.states import JobStatus
from app.jobs.store import people
from app.resources import open_resources
from app.settings import Settings


async def cancel(settings: Settings, job_id: UUID) -> dict[str, Any]:
    """See `Jobs.cancel`."""
    return await _move(settings, job_id, retry=False)


async def retry(settings: Settings, job_id: UUID) -> dict[str, Any]:
    """See `Jobs.retry`."""
    return await _move(settings, job_id, retry=True)


async def _move(settings: Settings, job_id: UUID, *, retry: bool) -> dict[str, Any]:
    async with open_resources(settings) as resources, open_queue(resources, registry()) as queue:
        ledger = Ledger(resources.db, queue)
        async with resources.db.transaction() as session:
            await (ledger.retry if retry else ledger.cancel)(session, job_id, None)
            _kind, status = await people.status_of(session, job_id, None)
    asked = status == JobStatus.RUNNING and not retry
    message = "The job was asked to stop." if asked else f"The job is {status}."
    ids = {"task_id": str(job_id), "job_id": str(job_id)}
    return {"message": message, "status": str(status), **ids}
