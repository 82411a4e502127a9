"""Documents whose run is killed, handed back, cancelled or robbed of its document half-way."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import Database
from app.documents import reading as rooms
from app.documents import store
from app.documents.jobs import PurgeDocument
from app.documents.sample import make_pdf
from app.jobs.engines.inline import run_all
from app.jobs.ledger import Ledger
from app.jobs.runner import Stop
from app.jobs.worker import Worker
from app.resources import Resources
from tests.databases import on_postgresql_and_when_there_is_time_on_sqlite
from tests.documents.papers import (
    ALICE,
    BOB,
    ask_again,
    document_of,
    harness,
    index_job,
    keep,
    newest_job,
    rows_of,
)
from tests.harness import JobHarness

PAGES, BATCH = 60, 5
LONG = 1_000  # pages, to be killed in time


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "BATCH_PAGES", BATCH)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_pdf(tmp_path / "a.pdf", PAGES)


@on_postgresql_and_when_there_is_time_on_sqlite
async def test_a_killed_worker_leaves_every_step_and_doubles_no_page(
    resources: Resources, tmp_path: Path
) -> None:
    jobs = harness(resources)
    document_id = await keep(jobs, make_pdf(tmp_path / "long.pdf", LONG))
    job_id = await newest_job(resources, document_id)
    worker = await asyncio.create_subprocess_exec(*_worker(resources))
    try:
        await _pages_done(jobs, job_id, 3 * BATCH)
    finally:
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
    at_death = await jobs.row(job_id)
    assert (at_death.status, await _numbers(resources, document_id, 1)) == (
        "running",
        list(range(1, at_death.processed_items + 1)),
    )

    async with jobs.on_shift() as rescuer:
        async with asyncio.timeout(10):
            while (await jobs.row(job_id)).status != "completed":
                await run_all(rescuer)
                await asyncio.sleep(0.05)
    row = await jobs.row(job_id)

    assert "recovered" in await jobs.events(job_id)
    assert (row.processed_items, row.failed_items) == (LONG, 0)
    assert await _numbers(resources, document_id, 1) == list(range(1, LONG + 1))
    assert (await document_of(resources, document_id)).status == "ready"


async def test_a_run_that_is_handed_back_goes_on_where_it_stopped(
    resources: Resources, path: Path
) -> None:
    jobs = harness(resources)
    document_id = await keep(jobs, path)
    job_id = await newest_job(resources, document_id)

    async with _half_way(jobs, job_id) as worker:
        worker.runner.stop(job_id, Stop.RELEASE)
    stopped = await jobs.row(job_id)
    assert stopped.status == "queued"
    assert 0 < stopped.processed_items < PAGES
    assert (await document_of(resources, document_id)).status == "indexing"

    await jobs.run_all()
    row = await jobs.row(job_id)

    assert (row.status, row.processed_items, row.cursor) == (
        "completed",
        PAGES,
        {
            "generation": 1,
            "page": PAGES,
            "next_job_id": str(await index_job(resources, document_id)),
        },
    )
    assert await _numbers(resources, document_id, 1) == list(range(1, PAGES + 1))


async def test_a_cancelled_run_leaves_the_old_generation_live(
    resources: Resources, path: Path
) -> None:
    jobs = harness(resources)
    document_id = await keep(jobs, path)
    await jobs.run_all()
    second = await ask_again(jobs, document_id)

    async with _half_way(jobs, second):
        assert (await document_of(resources, document_id)).status == "indexing"
        await _cancel(jobs, second)
    document = await document_of(resources, document_id)

    assert (await jobs.row(second)).status == "cancelled"
    assert (document.status, document.live_generation, document.error_code) == ("ready", 1, None)
    assert await _numbers(resources, document_id, 1) == list(range(1, PAGES + 1))

    third = await ask_again(jobs, document_id)  # its generation replaces both
    await jobs.run_all()
    assert (await jobs.row(third)).status == "completed"
    assert {row[0] for row in await rows_of(resources, document_id)} == {3}

    await _retry(jobs, second)  # whose checkpoint is of a generation that is no more
    await jobs.run_all()
    row = await jobs.row(second)
    assert (row.status, row.processed_items) == ("completed", PAGES)
    assert (await document_of(resources, document_id)).live_generation == 4
    assert len(await rows_of(resources, document_id)) == PAGES


async def test_a_first_run_that_is_cancelled_fails_until_it_is_tried_again(
    resources: Resources, path: Path
) -> None:
    jobs = harness(resources)
    document_id = await keep(jobs, path)
    job_id = await newest_job(resources, document_id)

    async with _half_way(jobs, job_id):
        await _cancel(jobs, job_id)
    document = await document_of(resources, document_id)
    assert (document.status, document.error_code) == ("failed", "cancelled")

    await _retry(jobs, job_id)
    document = await document_of(resources, document_id)
    assert (document.status, document.error_code) == ("uploaded", None)
    await jobs.run_all()

    document = await document_of(resources, document_id)
    assert (document.status, document.live_generation) == ("ready", 1)


async def test_a_queued_run_that_is_cancelled_fails_the_document(
    resources: Resources, path: Path
) -> None:
    jobs = harness(resources)
    document_id = await keep(jobs, path)

    await _cancel(jobs, await newest_job(resources, document_id))

    assert (await document_of(resources, document_id)).status == "failed"


async def test_a_run_stops_when_its_document_is_deleted_and_a_purge_leaves_nothing(
    resources: Resources, path: Path
) -> None:
    jobs = harness(resources)
    document_id = await keep(jobs, path)
    document = await document_of(resources, document_id)
    job_id = await newest_job(resources, document_id)

    async with _half_way(jobs, job_id), resources.db.transaction() as session:
        await store.remove(session, document_id)
    row = await jobs.row(job_id)
    assert (row.status, row.error_type, row.attempt) == ("failed", "document_deleted", 1)
    assert await rows_of(resources, document_id)

    purge = PurgeDocument(document_id=document_id, sha256=document.sha256)
    for _ in range(2):  # twice is once
        row = await jobs.run(purge)
        assert row.status == "completed"
    assert await rows_of(resources, document_id) == []
    assert not await resources.blobs.has(document.sha256)


async def test_a_purge_leaves_a_blob_that_somebody_else_has(
    resources: Resources, path: Path
) -> None:
    jobs = harness(resources)
    mine, theirs = await keep(jobs, path, ALICE), await keep(jobs, path, BOB)
    sha256 = (await document_of(resources, mine)).sha256
    async with resources.db.transaction() as session:
        await store.remove(session, mine)

    await jobs.run(PurgeDocument(document_id=mine, sha256=sha256))

    assert await resources.blobs.has(sha256)
    assert (await document_of(resources, theirs)).status == "ready"


@asynccontextmanager
async def _half_way(jobs: JobHarness, job_id: UUID) -> AsyncIterator[Worker]:
    """Run what waits up to some steps of the job; after the block it goes on to its end."""
    gate = Gate(jobs.resources.db, steps=4)
    worker = jobs.worker()
    worker.runner.resources = replace(jobs.resources, db=cast(Database, gate))
    running = asyncio.create_task(run_all(worker))
    async with asyncio.timeout(20):
        await gate.reached.wait()
    yield worker
    gate.opened.set()
    await worker.runner.drain(20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _pages_done(jobs: JobHarness, job_id: UUID, count: int) -> None:
    async with asyncio.timeout(20):
        while (await jobs.row(job_id)).processed_items < count:
            await asyncio.sleep(0.001)


async def _numbers(resources: Resources, document_id: UUID, generation: int) -> list[int]:
    return [row[1] for row in await rows_of(resources, document_id) if row[0] == generation]


async def _cancel(jobs: JobHarness, job_id: UUID) -> None:
    ledger = Ledger(jobs.resources.db, jobs.queue)
    await jobs.resources.db.run(lambda session: ledger.cancel(session, job_id, None))


async def _retry(jobs: JobHarness, job_id: UUID) -> None:
    ledger = Ledger(jobs.resources.db, jobs.queue)
    await jobs.resources.db.run(lambda session: ledger.retry(session, job_id, None))


def _worker(resources: Resources) -> list[str]:
    url = resources.db.url.render_as_string(hide_password=False)
    folder = str(resources.settings.data_dir)
    module = "tests.documents.killed"
    return [sys.executable, "-m", module, url, folder, str(BATCH)]


class Gate:
    """A database on which a handler has to wait, once, before one of its transactions."""

    def __init__(self, db: Database, *, steps: int) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self._db, self._steps = db, steps

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        self._steps -= 1
        if self._steps < 0:
            self.reached.set()
            await self.opened.wait()
        async with self._db.transaction() as session:
            yield session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)
