"""Workers under a supervisor, and the service's door as a process, for tests that end them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from subprocess import Popen
from typing import Self
from uuid import UUID

import httpx

from app.api.auth import create_token
from app.jobs.models import BackgroundJob
from app.jobs.spec import JobArgs
from tests.faults.conftest import Field
from tests.faults.servers_of_own import Api
from tests.processes import environment
from tests.waiting import until

Process = Popen[bytes]


class Crew:
    """A worker of each engine given; whoever ends is replaced at once by another of its engine."""

    def __init__(
        self,
        field: Field,
        *engines: str,
        on_start: Callable[[Process], None] | None = None,
        **changes: str,
    ) -> None:
        self.codes: list[int] = []  # of those that have ended
        self._field = field
        self._engines = engines
        self._on_start = on_start
        self._changes = changes
        self._workers: list[Process] = []
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._workers = [self._start(engine) for engine in self._engines]
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._watching is not None
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)

    def owner(self, row: BackgroundJob) -> Process:
        """The process that runs `row`."""
        pid = pid_of(row.worker_id)
        return next(worker for worker in self._workers if worker.pid == pid)

    async def lost(self, many: int) -> None:
        """Wait until so many workers have ended."""

        async def look() -> bool:
            return len(self.codes) >= many

        await until(look)

    def _start(self, engine: str) -> Process:
        process = self._field.worker(engine, **self._changes)
        if self._on_start is not None:
            self._on_start(process)
        return process

    async def _watch(self) -> None:
        while True:
            for number, worker in enumerate(self._workers):
                code = worker.poll()
                if code is not None:
                    self.codes.append(code)
                    self._workers[number] = self._start(self._engines[number])
            await asyncio.sleep(0.02)


def pid_of(worker_id: str | None) -> int:
    """The process behind a row's worker (see `app.jobs.identity`)."""
    assert worker_id is not None
    return int(worker_id.split(":")[-2])


async def running(
    field: Field, job_id: UUID, *, processed: int = 0, attempt: int = 1, seconds: float = 30.0
) -> BackgroundJob:
    """The row while it runs in that attempt or a later one, so far at least."""

    async def look() -> BackgroundJob | None:
        row = await field.row(job_id)
        assert row.status in ("queued", "running"), f"{row.status} {row.error_type}"
        far = row.processed_items >= processed and row.attempt >= attempt
        return row if far and row.status == "running" else None

    return await until(look, seconds)


async def said(field: Field, words: str) -> bool:
    """Whether some process of the field has logged these words."""
    return words in field.logged()


class Door:
    """An API process and somebody who calls it."""

    def __init__(self, api: Api, client: httpx.AsyncClient) -> None:
        self.process = api.process
        self.client = client

    async def ask(self, args: JobArgs) -> tuple[UUID, float]:
        """Ask for a `Write`; its id, and the seconds until the 202."""
        began = time.perf_counter()
        answer = await self.client.post("/writes", json=args.model_dump(mode="json"))
        took = time.perf_counter() - began
        assert answer.status_code == 202, answer.text
        return UUID(answer.json()["job_id"]), took


@asynccontextmanager
async def open_door(field: Field, **changes: str) -> AsyncIterator[Door]:
    """The application of `tests.faults.served`, as a process with `changes` in its environment."""
    async with field.resources.db.transaction() as session:
        token = await create_token(session, "ann")
    api = Api(environment(field.settings, **changes), field.log)
    try:
        await api.up()
        async with api.client(token) as client:
            yield Door(api, client)
    finally:
        await asyncio.to_thread(api.end)
