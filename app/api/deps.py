"""What a route may ask for.

@router.post("/things", responses=starts_work())
async def make(body: Thing, session: SessionDep, user: UserDep, queue: QueueDep, once: OnceDep):
async def work() -> Response:
stored = await queue.enqueue(session, MakeThing(...), owner_id=user.id)
return accepted(stored, "The thing is queued.", thing_id=...)

return await once.answer(session, body.model_dump(mode="json"), work)
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.auth import User, owner_of
from app.api.idempotency import Door, Once
from app.api.limits import Limits
from app.api.reach import reach, reading
from app.api.services import Services, services_of
from app.core.errors import Forbidden
from app.jobs.ledger import Ledger
from app.jobs.queue import JobQueue
from app.resources import Resources

__all__ = [
    "AdminDep",
    "LedgerDep",
    "OnceDep",
    "Page",
    "PageDep",
    "QueueDep",
    "ReadDep",
    "ResourcesDep",
    "ServicesDep",
    "SessionDep",
    "UserDep",
    "owner_of",
]

_READING = ("GET", "HEAD")


async def _services(request: Request) -> Services:
    return services_of(request)


ServicesDep = Annotated[Services, Depends(_services)]


async def _user(request: Request, services: ServicesDep) -> User:
    return await services.tokens.user_of(request.headers.get("authorization"))


UserDep = Annotated[User, Depends(_user)]


async def _admin(user: UserDep) -> User:
    if not user.is_admin:
        raise Forbidden("only an admin may do this")
    return user


AdminDep = Annotated[User, Depends(_admin)]


async def _resources(services: ServicesDep) -> Resources:
    return services.resources


ResourcesDep = Annotated[Resources, Depends(_resources)]


async def _queue(request: Request, services: ServicesDep) -> JobQueue:
    request.state.starts_work = True
    return services.queue


QueueDep = Annotated[JobQueue, Depends(_queue)]
"""Where a route asks for a job. Asking for it makes the route one that starts work, and its
`OnceDep` applies the limits of the user."""


async def _ledger(services: ServicesDep) -> Ledger:
    return services.ledger


LedgerDep = Annotated[Ledger, Depends(_ledger)]


async def _door(services: ServicesDep) -> AsyncGenerator[Door]:
    door = Door(services.keyed)
    try:
        yield door
    finally:
        door.leave()


_DoorDep = Annotated[Door, Depends(_door, scope="function")]


async def _session(
    request: Request, services: ServicesDep, user: UserDep, _outlives: _DoorDep
) -> AsyncGenerator[AsyncSession]:
    """The user comes first, so that strangers cost no transaction; the door is left last."""
    db = services.resources.db
    if request.method in _READING:
        async with reading(db) as session:
            yield session
        return
    async with db.transaction() as session:
        session.info["user"] = user  # for the hooks of jobs, which write who asked
        if request.method != "POST":  # a POST may first read an upload, with no lock held
            await reach(session)
        yield session


SessionDep = Annotated[AsyncSession, Depends(_session, scope="function")]
"""One request, one transaction: committed before the answer goes out, rolled back on an error.
Writes take their first lock at their first statement; a GET reads only."""

ReadDep = SessionDep


async def _once(request: Request, services: ServicesDep, user: UserDep, door: _DoorDep) -> Once:
    settings = services.resources.settings
    limits = Limits(
        user.id,
        per_minute=settings.rate_limit_per_minute,
        active=settings.max_active_jobs_per_user,
    )
    return Once(request, door, limits, services.secret)


OnceDep = Annotated[Once, Depends(_once)]


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for."""

    limit: int
    offset: int


async def _page(
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Page:
    return Page(limit, offset)


PageDep = Annotated[Page, Depends(_page)]
