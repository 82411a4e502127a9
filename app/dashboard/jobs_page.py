"""The page of jobs: queues, workers, the list, and the drawer of one job."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.api.auth import User, owner_of
from app.api.queues import queues_of
from app.api.services import Services
from app.dashboard.pages import page
from app.jobs.states import JobStatus
from app.jobs.store import changes, read, workers
from app.jobs.store.changes import State
from app.jobs.store.read import EventView

_ROWS = 25  # jobs on one page
_LINES = 100  # of a job's timeline
_FARTHEST = 10_000  # pages further back are not asked for here


class Wanted(BaseModel):
    """What the address asks for. What makes no sense is as if it were not there."""

    model_config = ConfigDict(frozen=True)

    status: JobStatus | None = None
    kind: str | None = Field(None, max_length=64)
    page: int = 1
    job: UUID | None = None
    hello: str | None = None  # just signed in

    @field_validator("status", "job", "kind", mode="wrap")
    @classmethod
    def _or_nothing(cls, value: Any, check: Any) -> Any:
        try:
            return check(value.replace("\0", "") if isinstance(value, str) else value) or None
        except ValueError:
            return None

    @field_validator("page", mode="wrap")
    @classmethod
    def _or_the_first(cls, value: Any, check: Any) -> int:
        try:
            return max(1, min(_FARTHEST, int(check(value))))
        except ValueError:
            return 1

    def address(self, **changes: Any) -> str:
        """The address of this page with some things changed; None takes one away."""
        given = {"status": self.status, "kind": self.kind, "page": self.page, "job": self.job}
        given |= changes
        if given["page"] == 1:
            given["page"] = None
        kept = {name: str(value) for name, value in given.items() if value is not None}
        return f"/?{urlencode(kept)}" if kept else "/"


@dataclass(frozen=True, slots=True)
class Drawer:
    """One job, opened."""

    state: State
    events: list[EventView]
    hidden: int  # lines that are not shown: the oldest
    checkpoint: str | None
    result: str | None


async def jobs_page(
    services: Services, user: User, wanted: Wanted, *, said: str | None = None, status: int = 200
) -> Response:
    """The page, with the statements that it takes; none of them counts finished rows."""
    owner = owner_of(user)
    mine = None if owner is None else str(owner)
    listed, queues, present, drawer = await asyncio.gather(
        read.newest(
            services.reader,
            mine,
            status=wanted.status,
            kind=wanted.kind,
            limit=_ROWS + 1,
            offset=_ROWS * (wanted.page - 1),
        ),
        queues_of(services, user),
        _workers(services) if user.is_admin else _none(),
        _drawer(services, mine, wanted.job),
    )
    return page(
        "jobs.html",
        status,
        user=user,
        wanted=wanted,
        jobs=listed[:_ROWS],
        more=len(listed) > _ROWS,
        queues=queues,
        workers=present,
        drawer=drawer,
        kinds=sorted(services.queue.registry),
        statuses=list(JobStatus),
        now=services.resources.clock(),
        said=said,
    )


async def _drawer(services: Services, owner: str | None, job: UUID | None) -> Drawer | None:
    """The opened job; None for one that is not there or not the caller's."""
    if job is None:
        return None
    found = await changes.states(services.reader, [str(job)])
    if not found or owner not in (None, found[0].owner):
        return None
    _first, total = await read.events(services.reader, str(job), limit=1, offset=0)
    hidden = max(0, total - _LINES)
    events, _total = await read.events(services.reader, str(job), limit=_LINES, offset=hidden)
    result = found[0].view.result
    return Drawer(
        state=found[0],
        events=events,
        hidden=hidden,
        checkpoint=await read.checkpoint(services.reader, str(job)),
        result=None if result is None else bytes(result).decode(),
    )


async def _workers(services: Services) -> list[dict[str, Any]]:
    async with services.resources.db.reading() as session:
        return await workers.shown(session, workers.ALIVE_SECONDS)


async def _none() -> None:
    return None
