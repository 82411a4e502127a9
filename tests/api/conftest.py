"""The application with one small job and one small route, open for a test."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Response

from app.api.accepted import accepted
from app.api.auth import create_token
from app.api.deps import OnceDep, QueueDep, SessionDep, UserDep
from app.api.schemas import starts_work
from app.core.db import Database
from app.core.errors import AppError
from app.jobs.context import JobContext
from app.jobs.spec import JobArgs, Registry, job
from app.main import Parts, create_app
from app.resources import Resources
from tests.conftest import MakeSettings
from tests.harness import JobHarness


class Count(JobArgs, kind="count"):
    items: int
    fail: bool = False
    only_one: bool = False

    def unique_key(self) -> str | None:
        return "count" if self.only_one else None


@job(function="count", max_attempts=1)
async def count(ctx: JobContext, args: Count) -> dict[str, Any]:
    for number in range(ctx.cursor or 0, args.items):
        async with ctx.step(total=args.items, stage="counting") as step:
            step.advance(1, cursor=number + 1)
    if args.fail:
        raise AppError("it does not count", code="uncountable")
    return {"counted": args.items}


router = APIRouter(prefix="/counts", tags=["counts"])


@router.post("", status_code=202, responses=starts_work())
async def start(
    args: Count, session: SessionDep, user: UserDep, once: OnceDep, queue: QueueDep
) -> Response:
    async def work() -> Response:
        stored = await queue.enqueue(session, args, owner_id=user.id)
        return accepted(stored, "It is counted.", count_id=stored.id)

    return await once.answer(session, args.model_dump(mode="json"), work)


async def up_to_date(db: Database) -> str | None:
    return None


JOBS = Registry([count])
PARTS = Parts(registry=JOBS, routers=[router], pending=up_to_date)


class Api:
    """An open application, and how to call it as somebody."""

    def __init__(self, app: FastAPI, resources: Resources) -> None:
        self.app = app
        self.jobs = JobHarness(resources, [count])
        self.db = resources.db
        self.transport = httpx.ASGITransport(app)
        self._clients: list[httpx.AsyncClient] = []

    async def user(self, name: str, **how: Any) -> httpx.AsyncClient:
        async with self.db.transaction() as session:
            token = await create_token(session, name, **how)
        return self.bearer(token)

    def bearer(self, token: str) -> httpx.AsyncClient:
        return self.client({"Authorization": f"Bearer {token}"})

    def client(self, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        client = httpx.AsyncClient(
            transport=self.transport, base_url="http://headway.test", headers=headers, timeout=60
        )
        self._clients.append(client)
        return client

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()


async def ask(client: httpx.AsyncClient, items: int = 3, **more: Any) -> UUID:
    answer = await client.post("/counts", json={"items": items, **more})
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["job_id"])


OpenApi = Callable[..., AbstractAsyncContextManager[Api]]


@pytest.fixture
def open_api(make_settings: MakeSettings) -> OpenApi:
    @asynccontextmanager
    async def opened(parts: Parts = PARTS, **changes: Any) -> AsyncIterator[Api]:
        app = create_app(make_settings(**changes), parts=parts)
        async with app.router.lifespan_context(app):
            api = Api(app, app.state.services.resources)
            try:
                yield api
            finally:
                await api.aclose()

    return opened


@pytest.fixture
async def api(open_api: OpenApi) -> AsyncIterator[Api]:
    async with open_api() as opened:
        yield opened


@pytest.fixture
async def ann(api: Api) -> httpx.AsyncClient:
    return await api.user("ann")


@pytest.fixture
async def bob(api: Api) -> httpx.AsyncClient:
    return await api.user("bob")


@pytest.fixture
async def admin(api: Api) -> httpx.AsyncClient:
    return await api.user("root", admin=True)
