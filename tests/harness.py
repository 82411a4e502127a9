"""Runs jobs through the real worker and real rows, with no broker and no catalogue."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import select

from app.jobs.engines.inline import run_all
from app.jobs.models import BackgroundJob, JobEvent
from app.jobs.queue import JobQueue, Ringer
from app.jobs.schedule import Schedule
from app.jobs.spec import Job, JobArgs, Registry
from app.jobs.store.sweep import Waiting
from app.jobs.worker import Share, Worker
from app.resources import Resources


async def no_rings_gone(waiting: Sequence[Waiting]) -> list[Waiting]:
    return []


class JobHarness:
    """`await jobs.run(handler, args)` returns the row as the API would report it."""

    def __init__(
        self, resources: Resources, jobs: Iterable[Job[Any]], schedules: Sequence[Schedule] = ()
    ) -> None:
        self.resources = resources
        self.schedules = schedules
        self.queue = JobQueue(Registry(jobs), resources.settings.queue_routes, Ringer())

    def worker(self, **share: Any) -> Worker:
        whole = Share(**({"engine": "inline", "queues": ("default",)} | share))
        return Worker(self.resources, self.queue, self.schedules, whole, no_rings_gone)

    @asynccontextmanager
    async def on_shift(self, **share: Any) -> AsyncIterator[Worker]:
        async with self.worker(**share).on_shift() as worker:
            yield worker

    async def ask(self, args: JobArgs, **how: Any) -> UUID:
        async with self.resources.db.transaction() as session:
            return (await self.queue.enqueue(session, args, **how)).id

    async def run(self, args: JobArgs, **how: Any) -> BackgroundJob:
        """Queue `args`, run what waits, give back the row."""
        job_id = await self.ask(args, **how)
        await self.run_all()
        return await self.row(job_id)

    async def run_all(self, timeout_seconds: float = 60.0) -> None:
        await run_all(self.worker(), timeout_seconds=timeout_seconds)

    async def row(self, job_id: UUID) -> BackgroundJob:
        async with self.resources.db.reading() as session:
            found = await session.execute(select(BackgroundJob).where(BackgroundJob.id == job_id))
            return found.scalar_one()

    async def events(self, job_id: UUID) -> list[str]:
        async with self.resources.db.reading() as session:
            statement = select(JobEvent.kind).where(JobEvent.job_id == job_id)
            return list((await session.execute(statement.order_by(JobEvent.seq))).scalars())
