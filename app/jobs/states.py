"""The state machine of a job, as data. Nothing else decides which change is legal.

    queued ──claim──▶ running ──▶ completed | failed | cancelled
      ▲                  │
      ├── retry_later ───┤  a passing error and attempts left; waits in `run_after`
      ├── release ───────┤  the worker is stopping: checkpoint kept, attempt not consumed
      ├── recover ───────┘  the lease lapsed
      └── retry              by a person: failed | cancelled → queued, the only edge out of an end

A queued job may also be cancelled at once, or fail because no worker knows its kind.
"""

from dataclasses import dataclass
from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands; what the API calls `status`."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether only a person's retry leads out of here."""
        return self in ENDS


ENDS = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})
_Q, _R = JobStatus.QUEUED, JobStatus.RUNNING


@dataclass(frozen=True, slots=True)
class Edge:
    """One legal change: from any of `sources` to `target`, told in the audit trail as `event`."""

    name: str
    sources: frozenset[JobStatus]
    target: JobStatus
    event: str


def _edge(name: str, sources: set[JobStatus], target: JobStatus, event: str) -> Edge:
    return Edge(name, frozenset(sources), target, event)


CLAIM = _edge("claim", {_Q}, _R, "started")
COMPLETE = _edge("complete", {_R}, JobStatus.COMPLETED, "completed")
FAIL = _edge("fail", {_R}, JobStatus.FAILED, "failed")
CANCEL_RUNNING = _edge("cancel_running", {_R}, JobStatus.CANCELLED, "cancelled")
RETRY_LATER = _edge("retry_later", {_R}, _Q, "retry_scheduled")
RELEASE = _edge("release", {_R}, _Q, "released")
RECOVER = _edge("recover", {_R}, _Q, "recovered")
CANCEL_QUEUED = _edge("cancel_queued", {_Q}, JobStatus.CANCELLED, "cancelled")
GIVE_UP = _edge("give_up", {_Q}, JobStatus.FAILED, "failed")
RETRY = _edge("retry", {JobStatus.FAILED, JobStatus.CANCELLED}, _Q, "queued")

EDGES = (
    CLAIM,
    COMPLETE,
    FAIL,
    CANCEL_RUNNING,
    RETRY_LATER,
    RELEASE,
    RECOVER,
    CANCEL_QUEUED,
    GIVE_UP,
    RETRY,
)


def legal(source: JobStatus, target: JobStatus) -> bool:
    """Whether some edge leads from `source` to `target`."""
    return any(source in edge.sources and edge.target is target for edge in EDGES)
