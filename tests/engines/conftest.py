"""The engines under test: a worker that runs what is asked for, however it hears of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.chaos.servers import Valkey
from app.jobs.engines import open_queue
from app.jobs.engines.inline import run_all
from app.jobs.models import BackgroundJob
from app.jobs.queue import JobQueue
from app.jobs.spec import JobArgs
from app.resources import Resources, open_resources
from tests.conftest import MakeSettings
from tests.engines.jobs import registry
from tests.harness import JobHarness
from tests.processes import environment, worker
from tests.waiting import until


class Engine:
    """One engine with a running worker; `inline` runs when it is asked for a job's end."""

    def __init__(self, name: str, resources: Resources, queue: JobQueue) -> None:
        self.name = name
        self.resources = resources
        self.queue = queue
        self.rows = JobHarness(resources, registry().values())

    async def ask(self, args: JobArgs, **how: Any) -> UUID:
        async with self.resources.db.transaction() as session:
            return (await self.queue.enqueue(session, args, **how)).id

    async def row(self, job_id: UUID) -> BackgroundJob:
        return await self.rows.row(job_id)

    async def ended(self, job_id: UUID, seconds: float = 20.0) -> BackgroundJob:
        """The job's row once it has ended."""

        async def look() -> BackgroundJob | None:
            if self.name == "inline":
                await run_all(self.rows.worker(max_jobs=self.resources.settings.arq_max_jobs))
            row = await self.row(job_id)
            return row if row.status in ("completed", "failed", "cancelled") else None

        return await until(look, seconds)

    async def events(self, job_id: UUID) -> list[str]:
        return await self.rows.events(job_id)


@pytest.fixture
def max_jobs() -> int:
    """How many jobs the worker runs at once; a test may say otherwise."""
    return 10


@pytest.fixture(params=["inline", "database", "arq"])
async def engine(
    request: pytest.FixtureRequest, make_settings: MakeSettings, tmp_path: Path, max_jobs: int
) -> AsyncIterator[Engine]:
    name: str = request.param
    changes: dict[str, Any] = {"arq_max_jobs": max_jobs}
    if name == "arq":
        valkey: Valkey = request.getfixturevalue("valkey")
        changes["redis_url"] = valkey.url
    settings = make_settings(**changes)
    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(open_resources(settings))
        queue = await stack.enter_async_context(open_queue(resources, registry()))
        if name != "inline":
            log = tmp_path / "worker.log"
            stack.enter_context(worker(name, environment(settings), log))
        yield Engine(name, resources, queue)
