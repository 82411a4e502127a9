"""The application with some routes and jobs, open for a test and seen by three callers."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI

from app.api.auth import create_token
from app.core.db import Database
from app.jobs.spec import Job, Registry
from app.main import Parts, create_app
from app.resources import Resources
from app.settings import Settings
from tests.harness import JobHarness


@dataclass(frozen=True, slots=True)
class Site:
    """A running application, its callers, and a worker for its jobs."""

    app: FastAPI
    jobs: JobHarness
    alice: httpx.AsyncClient
    bob: httpx.AsyncClient
    admin: httpx.AsyncClient

    @property
    def resources(self) -> Resources:
        return self.jobs.resources


@asynccontextmanager
async def open_site(
    settings: Settings, routers: Sequence[APIRouter], jobs: Iterable[Job[Any]]
) -> AsyncIterator[Site]:
    known = list(jobs)
    names = ("alice", "bob", "admin")
    async with open_app(settings, routers, known, names, admin="admin") as (app, callers):
        yield Site(app, JobHarness(app.state.services.resources, known), *callers)


@asynccontextmanager
async def open_app(
    settings: Settings,
    routers: Sequence[APIRouter],
    jobs: Iterable[Job[Any]],
    names: Sequence[str],
    *,
    admin: str,
) -> AsyncIterator[tuple[FastAPI, list[httpx.AsyncClient]]]:
    """The application, and a caller for each of the names, one of which is an admin's."""
    app = create_app(settings, parts=Parts(Registry(jobs), routers, _nothing_pending))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        clients = []
        for name in names:
            async with app.state.services.resources.db.transaction() as session:
                token = await create_token(session, name, admin=name == admin)
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://headway",
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            )
            clients.append(await stack.enter_async_context(client))
        yield app, clients


async def _nothing_pending(_db: Database) -> None:
    return None
