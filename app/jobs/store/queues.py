"""How full the queues are, counted through partial indexes: finished rows are not touched."""

from datetime import datetime
from typing import Any

import msgspec

from app.core.clock import wire
from app.jobs.store.read import Reader, oldest_due


class Queue(msgspec.Struct):
    """A queue as it stands; `oldest_seconds` is how long the oldest ready job is due."""

    queue: str
    ready: int = 0
    running: int = 0
    scheduled: int = 0
    failed_today: int = 0
    oldest_seconds: float = 0.0


async def how_full(reader: Reader, owner: str | None, today: datetime) -> list[Queue]:
    """Every queue with jobs of `owner` (None: of anybody), by name; failures are those since `today`.

    A job that waits for its time, or for its next try, is scheduled and not ready.
    """
    values: list[Any] = [] if owner is None else [owner]
    mine = "" if owner is None else " AND owner_id = ?1"
    found: dict[str, Queue] = {}
    waiting = (
        "SELECT queue, count(*), count(CASE WHEN run_after <= {now} THEN 1 END), "  # noqa: S608
        f"{oldest_due(reader)} FROM background_jobs WHERE status = 'queued'{mine} GROUP BY queue"
    )
    for name, count, due, oldest in await reader.rows(waiting, *values):
        seconds = max(0.0, float(oldest or 0))
        found[name] = Queue(name, ready=due, scheduled=count - due, oldest_seconds=seconds)
    running = (
        "SELECT queue, count(*) FROM background_jobs "  # noqa: S608
        f"WHERE status = 'running'{mine} GROUP BY queue"
    )
    for name, count in await reader.rows(running, *values):
        found.setdefault(name, Queue(name)).running = count
    failed = (
        "SELECT queue, count(*) FROM background_jobs "  # noqa: S608
        "WHERE status IN ('completed', 'failed', 'cancelled') AND status = 'failed' "
        f"AND completed_at >= ?{len(values) + 1}{mine} GROUP BY queue"
    )
    since = wire(today) if reader.is_sqlite else today
    for name, count in await reader.rows(failed, *values, since):
        found.setdefault(name, Queue(name)).failed_today = count
    return [found[name] for name in sorted(found)]
