"""The account of what was accepted, kept outside the database that it is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.chaos.kinds import Doomed, Work


@dataclass(slots=True)
class Asked:
    """One job as it was asked for.

    `certain` is whether the commit was heard of. If the connection was lost in the middle of it,
    the row decides; if there is one, it has to keep every promise all the same. The moments are
    of one monotonic clock: the asking began at `asked_at` and was answered at `accepted_at`.
    """

    job_id: UUID
    args: Work
    certain: bool
    asked_at: float
    accepted_at: float
    not_before: datetime | None = None
    ends: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.ends = self.ends or {"failed" if isinstance(self.args, Doomed) else "completed"}


class Account:
    """Everything that was asked for, by job."""

    def __init__(self) -> None:
        self._jobs: dict[UUID, Asked] = {}
        self.refused = 0  # askings that were told so, or failed before there was a row
        self.surprises: list[str] = []  # errors of asking that no fault explains

    @property
    def jobs(self) -> Mapping[UUID, Asked]:
        """What was or may have been accepted."""
        return self._jobs

    @property
    def accepted(self) -> int:
        """How many jobs were accepted for certain."""
        return sum(asked.certain for asked in self._jobs.values())

    def note(self, asked: Asked) -> None:
        """Add an asking; of an equal job that is known already, the earlier one stays."""
        known = self._jobs.setdefault(asked.job_id, asked)
        known.certain = known.certain or asked.certain

    def may_be_cancelled(self, job_id: UUID) -> None:
        """A person is about to stop this job."""
        self._jobs[job_id].ends.add("cancelled")
