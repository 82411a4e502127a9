"""What is looked at when chaos is over: the account on one side, the tables on the other."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.chaos.account import Asked
from app.chaos.house import House
from app.chaos.workers import Life

ENDS = ("completed", "failed", "cancelled")

_ROWS = """
SELECT id, kind, lane, status, error_type, processed_items FROM background_jobs ORDER BY seq"""
_EVENTS = """
SELECT job_id, kind, at, worker, coalesce(data ->> 'retried' = 'true', false) FROM job_events
ORDER BY seq"""
_EFFECTS = "SELECT job_id, item, count(*) FROM chaos_effects GROUP BY job_id, item"
_STANDING = "SELECT job_id, status FROM chaos_standing"


@dataclass(frozen=True, slots=True)
class Row:
    """A job as its row tells at the end."""

    id: UUID
    kind: str
    lane: str | None
    status: str
    error_type: str | None
    processed: int


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the audit trail."""

    job_id: UUID
    kind: str
    at: datetime
    worker: str | None = None
    retried: bool = False  # a person's retry, which makes another end possible


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the checks compare; what stands by job is in the order of the audit trail."""

    asked: Mapping[UUID, Asked]
    rows: Mapping[UUID, Row]
    events: Mapping[UUID, Sequence[Event]]
    effects: Mapping[UUID, Mapping[int, int]]  # how often each item was done
    standing: Mapping[UUID, str] = field(default_factory=dict)
    lives: Sequence[Life] = ()
    surprises: Sequence[str] = ()  # what was noticed on the way

    def trail(self, job_id: UUID) -> str:
        """The audit trail of a job in one line."""
        events = self.events.get(job_id, ())
        return " · ".join(f"{e.at:%H:%M:%S.%f} {e.kind}" for e in events) or "no trail"


async def collect(house: House, asked: Mapping[UUID, Asked], surprises: Sequence[str]) -> Evidence:
    """Read the tables; the workers have ended."""
    effects: dict[UUID, Counter[int]] = defaultdict(Counter)
    for job_id, item, count in await house.look(_EFFECTS):
        effects[job_id][item] = count
    events: dict[UUID, list[Event]] = defaultdict(list)
    for line in await house.look(_EVENTS):
        events[line[0]].append(Event(*line))
    return Evidence(
        asked=asked,
        rows={row[0]: Row(*row) for row in await house.look(_ROWS)},
        events=events,
        effects=effects,
        standing={row[0]: row[1] for row in await house.look(_STANDING)},
        lives=house.crew.lives,
        surprises=surprises,
    )
