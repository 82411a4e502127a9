"""Processes that die at one exact place in the code; rows 19 and 20 of the matrix."""

import asyncio
import signal
import time
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import select

from app.jobs.models import BackgroundJob
from tests.faults.conftest import Field
from tests.faults.crew import open_door, running, said
from tests.faults.jobs import Write, effects_of
from tests.waiting import until

pytestmark = pytest.mark.fault

DIED = 86  # the exit code of a failpoint
ITEMS = 5


@pytest.fixture
def lease() -> float:
    return 3.0


@pytest.mark.parametrize(
    ("engine", "poll"),
    [("database", "0.5"), pytest.param("arq", "60", marks=pytest.mark.slow)],
    ids=["found by the poll", "rung again by the sweep"],
)
async def test_a_job_whose_asker_died_before_the_ring_runs(
    steady_field: Field, engine: str, poll: str
) -> None:
    """The row is committed, and nobody was told."""
    field = steady_field
    worker = field.worker(engine, WORKER_POLL_INTERVAL=poll)
    first = await field.ask(Write(items=1))
    await field.stands(first, "completed")  # the worker is up and has looked at the table
    async with open_door(field, FAILPOINT="after_commit:exit") as door:
        with pytest.raises(httpx.TransportError):
            await door.ask(Write(items=ITEMS))
        assert await asyncio.to_thread(door.process.wait, 10) == DIED

    async with field.resources.db.reading() as session:
        others = select(BackgroundJob.id).where(BackgroundJob.id != first)
        job_id = (await session.execute(others)).scalar_one()
    row = await field.stands(job_id, "completed", "failed", seconds=30)
    assert (row.status, row.attempt) == ("completed", 1)
    assert await effects_of(field.resources.db, job_id) == list(range(ITEMS))
    assert worker.poll() is None


@pytest.mark.parametrize(
    ("point", "engine", "attempts"),
    [
        ("after_claim", "arq", 2),
        ("before_checkpoint", "database", 2),
        pytest.param("in_checkpoint", "arq", 2, marks=pytest.mark.slow),
        pytest.param("after_checkpoint", "arq", 2, marks=pytest.mark.slow),
        pytest.param("before_ending", "database", 2, marks=pytest.mark.slow),
        ("after_ending", "arq", 1),
    ],
)
async def test_a_worker_that_dies_at_a_bad_moment_doubles_and_loses_nothing(
    steady_field: Field, point: str, engine: str, attempts: int
) -> None:
    field = steady_field
    job_id = await field.ask(Write(items=ITEMS))
    doomed = field.worker(engine, FAILPOINT=f"{point}:exit")
    assert await asyncio.to_thread(doomed.wait, 20) == DIED

    field.worker("database")
    later = await field.ask(Write(items=1))
    await field.stands(later, "completed")  # so the second worker has looked at the table

    row = await field.stands(job_id, "completed", "failed")
    assert (row.status, row.attempt) == ("completed", attempts)
    assert await effects_of(field.resources.db, job_id) == list(range(ITEMS))
    events = [event.kind for event in await field.events(job_id)]
    assert (events.count("started"), events.count("completed")) == (attempts, 1)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_worker_frozen_in_the_middle_of_a_commit_holds_its_job_from_nobody(
    steady_field: Field, record_property: Callable[[str, object], None]
) -> None:
    """Its transaction has the row locked; PostgreSQL ends transactions that stand idle.

    As with a host that loses its power in that moment. On SQLite a frozen process keeps the
    only lock from everybody until it is thawed or killed, and nothing can be done about it.
    """
    field = steady_field
    job_id = await field.ask(Write(items=ITEMS))
    frozen = field.worker("database", FAILPOINT="in_checkpoint:stop")
    await running(field, job_id)
    began = time.monotonic()
    field.worker("arq")

    row = await field.stands(job_id, "completed", "failed", seconds=40)
    seconds = time.monotonic() - began
    frozen.send_signal(signal.SIGCONT)
    await until(lambda: said(field, "lease lost"))

    record_property("seconds until another worker was done", round(seconds, 1))
    assert (row.status, row.attempt) == ("completed", 2)
    assert seconds <= 20.0
    assert await effects_of(field.resources.db, job_id) == list(range(ITEMS))
    assert (await field.row(job_id)).version == row.version
