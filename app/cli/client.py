"""One way to ask for jobs, whether over HTTP with a token or in the table itself, as admin."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

Job = dict[str, Any]
"""A job as `GET /jobs/{id}` shows it."""

ENDED = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Seen:
    """A job, and the version at which it was seen."""

    job: Job
    version: str

    @property
    def ended(self) -> bool:
        """Whether it stays as it is."""
        return self.job["status"] in ENDED


class Jobs(Protocol):
    """The jobs that the caller may see.

    Every method raises `NotFound` for a job that is not there and `Unavailable` when nobody
    answers; `cancel` and `retry` raise `Conflict` when the job's state forbids it.
    """

    async def page(
        self, *, status: str | None, kind: str | None, limit: int, offset: int
    ) -> tuple[list[Job], int]:
        """Jobs, newest first, and how many there are in all."""
        ...

    async def one(self, job_id: UUID) -> Seen:
        """A job as it stands."""
        ...

    def changes(self, job_id: UUID, seen: Seen) -> AsyncGenerator[Seen]:
        """The job's versions after `seen` as they come, up to its end; some may be skipped."""
        ...

    async def queues(self) -> list[dict[str, Any]]:
        """How full the queues are, as `GET /queues` shows them."""
        ...

    async def workers(self) -> list[dict[str, Any]] | None:
        """The live workers, as `GET /workers` shows them; None when the caller may not see them."""
        ...

    async def events(self, job_id: UUID) -> list[dict[str, Any]]:
        """The whole audit trail, oldest first."""
        ...

    async def cancel(self, job_id: UUID) -> dict[str, Any]:
        """Cancel a queued job, ask a running one to stop: `message`, `status`, `job_id`."""
        ...

    async def retry(self, job_id: UUID) -> dict[str, Any]:
        """Queue a failed or cancelled job again: `message`, `status`, `job_id`."""
        ...
