"""What the job table promises, in plain Python: no SQL, no leases in seconds.

`test_model.py` does everything twice, here and on the real tables, and compares. An act is done
here only after the machine has asked whether it is allowed, so nothing below refuses anything.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.core.clock import utcnow
from app.jobs.ledger import LAPSES
from app.jobs.states import JobStatus
from app.jobs.store.sweep import Lost

QUEUED, RUNNING = JobStatus.QUEUED, JobStatus.RUNNING
COMPLETED, FAILED, CANCELLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED


@dataclass(slots=True)
class Job:
    """What the model knows of a row, by the names of its columns.

    Told by the table: `id`, `seq`, and whenever it moves `run_after` and `lease_token`. `lapsed`
    is no column: whether the lease has ended without anybody having noticed.
    """

    id: UUID
    seq: int
    kind: str
    queue: str
    lane: str | None
    unique_key: str | None
    priority: int
    max_attempts: int
    run_after: datetime
    status: JobStatus = QUEUED
    attempt: int = 0
    lapses: int = 0
    processed_items: int = 0
    cursor: int | None = None
    cancel_requested: bool = False
    lease_token: UUID | None = None
    lapsed: bool = False

    @property
    def active(self) -> bool:
        return self.status in (QUEUED, RUNNING)

    def claim(self, token: UUID) -> None:
        self.status, self.lease_token, self.lapsed = RUNNING, token, False
        self.attempt += 1

    def step(self) -> None:
        self.processed_items += 1
        self.cursor = self.processed_items
        self.lapses, self.lapsed = 0, False

    def complete(self) -> None:
        self.lapses, self.cancel_requested = 0, False
        self._leave(COMPLETED)

    def fail(self, *, again: bool) -> None:
        """Who was asked to stop is cancelled, however the attempt ended."""
        self._leave(CANCELLED if self.cancel_requested else QUEUED if again else FAILED)

    def release(self) -> None:
        """A stop uses no attempt up."""
        if not self.cancel_requested:
            self.attempt -= 1
        self.fail(again=True)

    def stop(self) -> None:
        self._leave(CANCELLED)

    def still_as(self, lost: Lost) -> bool:
        """Whether what was seen of a lost job still stands: only then is it taken back."""
        seen = (lost.lease_token, lost.lapses, lost.cancel_requested)
        return seen == (self.lease_token, self.lapses, self.cancel_requested)

    def recover(self, *, only_once: bool) -> None:
        """A lost worker uses no attempt up, but three in a row without a step are poison."""
        if self.cancel_requested:
            self._leave(CANCELLED)
        elif only_once:
            self._leave(FAILED)
        else:
            self.lapses += 1
            poison = self.lapses >= LAPSES
            self.max_attempts += not poison
            self._leave(FAILED if poison else QUEUED)

    def cancel(self) -> None:
        if self.status is QUEUED:
            self.status = CANCELLED
        else:
            self.cancel_requested = True

    def retry(self, budget: int) -> None:
        self.status, self.lapses, self.cancel_requested = QUEUED, 0, False
        self.max_attempts += budget

    def _leave(self, status: JobStatus) -> None:
        self.status, self.lease_token, self.lapsed = status, None, False


class Model:
    """All jobs, and which of them may start."""

    def __init__(self) -> None:
        self.jobs: dict[UUID, Job] = {}

    def equal(self, kind: str, key: str | None) -> Job | None:
        """The active job of this kind and unique key."""
        found = (
            j for j in self.jobs.values() if j.active and (j.kind, j.unique_key) == (kind, key)
        )
        return next(found, None) if key is not None else None

    def due(self) -> list[Job]:
        now = utcnow()
        return [j for j in self.jobs.values() if j.status is QUEUED and j.run_after <= now]

    def ready(self) -> list[Job]:
        """What may start, best first: due rows without a lane, and the heads of idle lanes."""
        due = self.due()
        busy = {j.lane for j in self.jobs.values() if j.status is RUNNING}
        heads: dict[str | None, Job] = {}
        for job in sorted(due, key=lambda j: (-j.priority, j.seq)):
            heads.setdefault(job.lane, job)
        free = [j for j in due if j.lane is None or (heads[j.lane] is j and j.lane not in busy)]
        return sorted(free, key=lambda j: (-j.priority, j.run_after, j.seq))

    def lanes(self, ids: Iterable[UUID]) -> set[str | None]:
        """The lanes of some jobs, whatever has become of those."""
        return {self.jobs[each].lane for each in ids} - {None}
