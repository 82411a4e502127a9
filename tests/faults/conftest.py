"""Real worker processes on real servers, to be killed."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.chaos.servers import Valkey, valkey_server
from app.jobs.engines import open_queue
from app.jobs.models import BackgroundJob, JobEvent
from app.jobs.queue import JobQueue
from app.jobs.spec import JobArgs
from app.resources import Resources, open_resources
from app.settings import Settings
from tests.conftest import MakeSettings
from tests.faults.jobs import registry
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
