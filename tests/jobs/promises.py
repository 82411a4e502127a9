"""What holds in the tables after every act, whichever it was."""

from collections import Counter
from typing import Any
from uuid import UUID

from app.jobs.states import EDGES, ENDS, JobStatus
from app.jobs.store.read import JobView
from tests.jobs.model import QUEUED, RUNNING
from tests.jobs.tables import Sight, told

# What people see, under its column's name. A heartbeat is no news and brings no version.
_RENAMED = {"job_id": "id", "job_type": "kind", "scheduled_at": "run_after"}
VISIBLE = [_RENAMED.get(n, n) for n in JobView.__struct_fields__ if n != "heartbeat_at"]


def promises_are_kept(before: Sight, now: Sight) -> None:
    rows = now.rows.values()
    trails = trails_of(now)
    assert {row.id: row.status for row in rows} == trails
    assert all(told.get(row.id, QUEUED) == row.status for row in rows if row.kind == "hooked")

    owned = {row.id for row in rows if row.lease_token or row.lease_expires_at or row.lease_boot}
    assert owned == {row.id for row in rows if row.status == RUNNING}
    running = Counter(row.lane for row in rows if row.status == RUNNING and row.lane)
    assert all(count == 1 for count in running.values())

    done = [(str(row.id), n + 1) for row in rows for n in range(row.processed_items)]
    assert now.effects == sorted(done)
    for job_id, old in before.rows.items():
        never_back(old, now.rows[job_id])


def trails_of(now: Sight) -> dict[UUID, JobStatus]:
    """Where each job stands by its audit trail, which takes legal edges only."""
    stands: dict[UUID, JobStatus] = {}
    for line in now.lines:
        state = stands.get(line.job_id)
        if line.kind in ("progress_stage", "cancel_requested"):
            assert state is RUNNING
        elif state is None:
            assert line.kind == "queued"
            stands[line.job_id] = QUEUED
        else:
            (edge,) = (e for e in EDGES if e.event == line.kind and state in e.sources)
            stands[line.job_id] = edge.target
    return stands


def never_back(old: Any, new: Any) -> None:
    """Progress and version only grow, an end is final, and a visible change has a new version."""
    assert new.processed_items >= old.processed_items
    assert new.progress_percent >= old.progress_percent
    assert (new.cursor or 0) >= (old.cursor or 0)
    if old.status in ENDS and new.status != QUEUED:  # the edge of a person's retry: see the trails
        assert new == old
    changed = [name for name in VISIBLE if getattr(old, name) != getattr(new, name)]
    assert new.version > old.version if changed else new.version >= old.version, changed
