"""Real worker processes on real servers, to be killed."""

import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from app.api.auth import create_token
from app.chaos.servers import Postgres, Valkey, postgres_server, valkey_server
from app.core.db import Database
from app.jobs.engines import open_queue
from app.jobs.models import BackgroundJob, JobEvent
from app.jobs.queue import JobQueue
from app.jobs.spec import JobArgs
from app.migrate import upgrade
from app.resources import Resources, open_resources
from app.settings import Settings
from tests.conftest import MakeSettings
from tests.faults.jobs import Write, effects_of, make_effects_table, registry
from tests.faults.servers_of_own import Api
from tests.harness import JobHarness
from tests.processes import end, environment, start_worker
from tests.waiting import until


class Field:
    """Where faults happen: a database, perhaps a Redis, and workers that come and go."""

    def __init__(
        self, settings: Settings, resources: Resources, queue: JobQueue, log: Path
    ) -> None:
        self.settings = settings
        self.resources = resources
        self.queue = queue
        self.log = log
        self._rows = JobHarness(resources, registry().values())
        self._processes: list[Popen[bytes]] = []

    def worker(self, engine: str = "database", **changes: str) -> "Popen[bytes]":
        given = {"TEST_JOBS": "tests.faults.jobs"} | changes
        process = start_worker(engine, environment(self.settings, **given), self.log)
        self._processes.append(process)
        return process

    def busy_processors(self) -> None:
        """Let every processor have something else to do, until the field is left."""
        for _ in range(os.cpu_count() or 1):
            spin = [sys.executable, "-c", "while True: pass"]
            self._processes.append(Popen(spin))

    def end_all(self) -> None:
        for process in self._processes:
            end(process)

    async def ask(self, args: JobArgs, **how: Any) -> UUID:
        async with self.resources.db.transaction() as session:
            return (await self.queue.enqueue(session, args, **how)).id

    async def row(self, job_id: UUID) -> BackgroundJob:
        return await self._rows.row(job_id)

    async def events(self, job_id: UUID) -> list[JobEvent]:
        async with self.resources.db.reading() as session:
            statement = select(JobEvent).where(JobEvent.job_id == job_id).order_by(JobEvent.seq)
            return list((await session.execute(statement)).scalars())

    async def reached(self, job_id: UUID, processed: int, seconds: float = 15.0) -> BackgroundJob:
        """The row once so many items are processed."""

        async def look() -> BackgroundJob | None:
            row = await self.row(job_id)
            return row if row.processed_items >= processed else None

        return await until(look, seconds)

    async def stands(self, job_id: UUID, *statuses: str, seconds: float = 30.0) -> BackgroundJob:
        """The row once it stands in one of `statuses`."""

        async def look() -> BackgroundJob | None:
            row = await self.row(job_id)
            return row if row.status in statuses else None

        return await until(look, seconds)

    async def completed(self, job_id: UUID, seconds: float = 60.0) -> BackgroundJob:
        """The row at its end, which must be a good one."""
        row = await self.stands(job_id, "completed", "failed", seconds=seconds)
        assert row.status == "completed", (row.error_type, row.error_message, row.error_trace)
        return row

    def logged(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


@pytest.fixture
async def field(make_settings: MakeSettings, tmp_path: Path) -> AsyncIterator[Field]:
    """Workers on the database alone, with a lease of three seconds."""
    settings = make_settings(job_lease_seconds=3, shutdown_grace_seconds=2)
    async with open_resources(settings) as resources, open_queue(resources, registry()) as queue:
        field = Field(settings, resources, queue, tmp_path / "workers.log")
        try:
            yield field
        finally:
            field.end_all()


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A Redis-protocol server of this test's own, to be stopped and emptied."""
    with ExitStack() as stack:
        yield stack.enter_context(valkey_server())


@pytest.fixture
async def arq_field(
    make_settings: MakeSettings, tmp_path: Path, own_valkey: Valkey
) -> AsyncIterator[Field]:
    """The same with Redis: workers of both engines."""
    settings = make_settings(
        job_lease_seconds=3, shutdown_grace_seconds=2, redis_url=own_valkey.url
    )
    async with open_resources(settings) as resources, open_queue(resources, registry()) as queue:
        field = Field(settings, resources, queue, tmp_path / "workers.log")
        try:
            yield field
        finally:
            field.end_all()


@asynccontextmanager
async def open_field(settings: Settings, log: Path) -> AsyncGenerator[Field]:
    """A field with the table that `Write` writes to; its workers end with the block."""
    async with open_resources(settings) as resources, open_queue(resources, registry()) as queue:
        await make_effects_table(resources.db)
        field = Field(settings, resources, queue, log)
        try:
            yield field
        finally:
            field.end_all()


@pytest.fixture
def lease() -> float:
    """JOB_LEASE_SECONDS of `steady_field`; a test may ask for another by its parameters."""
    return 15.0


@pytest.fixture
async def steady_field(
    make_settings: MakeSettings, tmp_path: Path, own_valkey: Valkey, lease: float
) -> AsyncIterator[Field]:
    """Workers of both engines with the default lease, four jobs at once each."""
    settings = make_settings(
        job_lease_seconds=lease,
        shutdown_grace_seconds=2,
        redis_url=own_valkey.url,
        arq_max_jobs=4,
    )
    async with open_field(settings, tmp_path / "workers.log") as field:
        yield field


@pytest.fixture
async def api(steady_field: Field, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """An API process on the same field, called by an admin."""
    async with steady_field.resources.db.transaction() as session:
        token = await create_token(session, "ann", admin=True)
    process = Api(environment(steady_field.settings), tmp_path / "api.log")
    try:
        await process.up()
        async with process.client(token) as client:
            yield client
    finally:
        process.end()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this module's own, to be restarted, hung and made read-only."""
    with postgres_server() as server:
        yield server


@pytest.fixture
async def own_database(own_postgres: Postgres) -> str:
    """The address of a database in it, with the tables that the migrations make."""
    name = f"test_{uuid4().hex}"
    own_postgres.psql(f"CREATE DATABASE {name}")
    database = Database(own_postgres.url(name))
    await upgrade(database)
    await database.close()
    return own_postgres.url(name)


class Busy:
    """Two workers, one of each engine, in the midst of jobs that write an effect per item.

    They have slots to spare for two more jobs.
    """

    ITEMS = 80

    def __init__(self, field: Field) -> None:
        self.field = field
        self.workers: list[Popen[bytes]] = []
        self.jobs: list[UUID] = []

    async def begin(self) -> None:
        """Start, and wait until every job runs, on both workers."""
        self.workers = [self.field.worker(engine) for engine in ("database", "arq")]
        self.jobs = [await self.field.ask(Write(items=self.ITEMS, pause=0.1)) for _ in range(6)]
        rows = [await self.field.reached(job_id, 1) for job_id in self.jobs]
        assert len({row.worker_id for row in rows}) == 2

    async def go_on(self) -> None:
        """Wait until every job is further than it is now."""
        for row in [await self.field.row(job_id) for job_id in self.jobs]:
            await self.field.reached(row.id, min(self.ITEMS, row.processed_items + 1), 30)

    async def completed_once(self) -> list[BackgroundJob]:
        """The rows at the end, after a look at what they must all have in common."""
        for job_id in self.jobs:
            await self.field.completed(job_id)
            assert await effects_of(self.field.resources.db, job_id) == list(range(self.ITEMS))
            kinds = [event.kind for event in await self.field.events(job_id)]
            assert "recovered" not in kinds
            assert kinds.count("completed") == 1
        assert [worker.poll() for worker in self.workers] == [None, None]
        return [await self.field.row(job_id) for job_id in self.jobs]


@pytest.fixture
async def busy(steady_field: Field) -> Busy:
    busy = Busy(steady_field)
    await busy.begin()
    return busy
