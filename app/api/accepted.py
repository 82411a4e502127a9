"""The one answer of every request that starts work."""

from typing import Any
from uuid import UUID

import msgspec
from fastapi import Response

from app.jobs.store.insert import Stored

_RETRY_AFTER = "1"  # seconds until a first look at the job is worth it


def accepted(stored: Stored, message: str, **ids: UUID | str | None) -> Response:
    """202 for a job that has been stored, or was found active.

    Args:
        stored: what `JobQueue.enqueue` gave back.
        message: one sentence for people.
        ids: further ids of the answer, such as `document_id`.
    """
    return accepted_job(stored.id, stored.status, message, **ids)


def accepted_job(job_id: UUID, status: str, message: str, **ids: UUID | str | None) -> Response:
    """202 for a job whose row stands in `status`, with where to follow it."""
    body: dict[str, Any] = {"message": message, "status": str(status)}
    body |= {"task_id": job_id, "job_id": job_id} | ids
    headers = {"Location": f"/jobs/{job_id}", "Retry-After": _RETRY_AFTER}
    return answer(body, status=202, headers=headers)


def answer(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Any JSON answer as a finished response."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")
