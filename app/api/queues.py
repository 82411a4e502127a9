"""GET /queues: how full they are; what the dashboard and `headway top` begin with."""

import time
from datetime import datetime

from fastapi import APIRouter, Response

from app.api.accepted import answer
from app.api.auth import User, owner_of
from app.api.deps import ServicesDep, UserDep
from app.api.examples import example
from app.api.services import Services
from app.jobs.store.queues import Queue, how_full

router = APIRouter(tags=["operations"])

_FRESH_SECONDS = 1.0  # for which a count serves everybody of the same sight
_MOST = 1_000
_QUEUE = {
    "queue": "default",
    "ready": 12,
    "running": 3,
    "scheduled": 1,
    "failed_today": 2,
    "oldest_seconds": 4.2,
}


@router.get(
    "/queues",
    summary="How full are the queues?",
    responses=example({"queues": [_QUEUE], "total": 1}),
)
async def list_queues(user: UserDep, services: ServicesDep) -> Response:
    """Queues with jobs of the caller (an admin's: of anybody), as of at most a second ago.

    `ready` jobs are due, `scheduled` ones wait for their time or their next try, `failed_today`
    counts since midnight UTC, `oldest_seconds` is how long the oldest ready job is due.
    """
    found = await queues_of(services, user)
    return answer({"queues": found, "total": len(found)})


async def queues_of(services: Services, user: User) -> list[Queue]:
    """The queues as the user sees them."""
    owner = owner_of(user)
    known = services.counted.get(owner)
    if known is not None and known[0] > time.monotonic():
        return known[1]
    asked = time.monotonic()
    found = await how_full(
        services.reader, None if owner is None else str(owner), _midnight(services)
    )
    if len(services.counted) >= _MOST:
        services.counted.clear()
    services.counted[owner] = asked + _FRESH_SECONDS, found
    return found


def _midnight(services: Services) -> datetime:
    return services.resources.clock().replace(hour=0, minute=0, second=0, microsecond=0)
