"""Workers that are stopped or frozen, and live ones that nobody robs; rows 2 and 3 of the matrix."""

import asyncio
import os
import signal
import time
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from app.jobs.models import BackgroundJob
from app.jobs.store.claim import Taken, claim
from app.resources import Resources
from tests.engines.jobs import Await, Count, await_
from tests.faults.conftest import Field
from tests.faults.crew import Crew, Process, pid_of, running, said
from tests.faults.jobs import Write, effects_of
from tests.harness import JobHarness
from tests.waiting import until

pytestmark = pytest.mark.fault


@pytest.fixture
def lease() -> float:
    return 3.0


async def test_a_killed_workers_job_goes_on_from_its_checkpoint(field: Field) -> None:
    job_id = await field.ask(Count(items=60, pause=0.03))
    first = field.worker()
    row = await field.reached(job_id, 20)
    first.kill()
    first.wait()
    killed = time.monotonic()
    field.worker()

    await field.reached(job_id, row.processed_items + 5)
    resumed = time.monotonic() - killed
    row = await field.stands(job_id, "completed", "failed")

    assert (row.status, row.processed_items, row.attempt) == ("completed", 60, 2)
    assert resumed < 4.0  # a new process on the same host need not wait for the lease
    recovered = [event for event in await field.events(job_id) if event.kind == "recovered"]
    assert len(recovered) == 1


@pytest.mark.parametrize("engine", ["database", "arq"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stopped_worker_releases_and_exits_cleanly(
    arq_field: Field, engine: str, number: signal.Signals
) -> None:
    field = arq_field
    job_id = await field.ask(Count(items=200, pause=0.02))
    worker = field.worker(engine)
    await field.reached(job_id, 10)

    asked = time.monotonic()
    worker.send_signal(number)
    worker.send_signal(number)  # impatience changes nothing
    code = await asyncio.to_thread(worker.wait, 10)

    row = await field.row(job_id)
    assert code == 0, field.logged()[-2000:]
    assert time.monotonic() - asked < 4.0
    assert (row.status, row.attempt) == ("queued", 0)
    assert row.processed_items >= 10


@pytest.mark.slow
async def test_twenty_stops_during_one_job_cost_no_attempt(steady_field: Field) -> None:
    """As in a day of deployments: each worker that has the job is stopped, and replaced."""
    field = steady_field
    job_id = await field.ask(Write(items=150, pause=0.05))
    stopped: set[int] = set()
    async with Crew(field, "database", "arq", "database") as crew:
        while len(stopped) < 20:
            row = await running(field, job_id, processed=5 * len(stopped) + 1)
            if pid_of(row.worker_id) in stopped:  # a claim under way; it hands back that, too
                await asyncio.sleep(0.02)
                continue
            owner = crew.owner(row)
            owner.send_signal(signal.SIGTERM)
            stopped.add(owner.pid)
            await handed_back(field, row)
        row = await field.stands(job_id, "completed", "failed")
        assert crew.codes == [0] * 20

    assert (row.status, row.attempt, row.lapses) == ("completed", 1, 0)
    assert await effects_of(field.resources.db, job_id) == list(range(150))
    events = [event.kind for event in await field.events(job_id)]
    assert events.count("started") == events.count("released") + 1 >= 21
    assert "recovered" not in events


async def test_what_is_claimed_while_the_worker_stops_is_handed_back(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else is told of it, so it would wait for the process to be gone, and count a lapse."""
    jobs, go_on = JobHarness(resources, [await_]), asyncio.Event()

    async def claim_late(*given: Any) -> Taken:
        await go_on.wait()
        return await claim(*given)

    monkeypatch.setattr("app.jobs.worker.claim", claim_late)
    job_id = await jobs.ask(Await(seconds=30))
    async with jobs.on_shift() as worker:
        claiming = asyncio.create_task(worker.claim())
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().call_later(0.2, go_on.set)
    await claiming

    row = await jobs.row(job_id)
    assert (row.status, row.attempt, worker.runner.attempts) == ("queued", 0, {})


async def handed_back(field: Field, row: BackgroundJob) -> None:
    async def look() -> bool:
        return (await field.row(row.id)).lease_token != row.lease_token

    await until(look)


async def freeze(field: Field, worker: Process) -> None:
    """Stop a worker between two transactions: their locks would be kept for as long."""
    while True:
        worker.send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(6), field.resources.db.transaction() as session:
                await session.execute(update(BackgroundJob).values(message="frozen"))
        except (DBAPIError, TimeoutError):
            worker.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.02)
        else:
            return


@pytest.mark.slow
async def test_a_frozen_worker_changes_nothing_when_it_thaws(steady_field: Field) -> None:
    field, items = steady_field, 24
    job_id = await field.ask(Write(items=items, pause=0.1))
    asked = await field.row(job_id)
    frozen = field.worker()
    await running(field, job_id, processed=5)
    await freeze(field, frozen)
    before = await field.row(job_id)
    other = field.worker()
    row = await running(field, job_id, processed=before.processed_items + 5, attempt=2)
    owner = row.worker_id

    frozen.send_signal(signal.SIGCONT)
    row = await field.stands(job_id, "completed", "failed")
    await until(lambda: said(field, "lease lost"))

    assert (row.status, row.processed_items, row.worker_id) == ("completed", items, owner)
    assert await effects_of(field.resources.db, job_id) == list(range(items))
    by_the_frozen = await effects_of(field.resources.db, job_id, attempt=1)
    assert by_the_frozen == list(range(before.processed_items))
    # started, recovered, started, completed, and the steps: nobody else has raised it
    assert row.version == asked.version + items + 4
    assert other.poll() is None


@pytest.mark.slow
async def test_a_worker_that_thaws_after_the_end_changes_nothing(steady_field: Field) -> None:
    field, items = steady_field, 12
    job_id = await field.ask(Write(items=items, pause=0.1))
    frozen = field.worker()
    await running(field, job_id, processed=5)
    await freeze(field, frozen)
    field.worker()
    await field.stands(job_id, "completed", "failed")
    ended, told = await all_of(field, job_id)

    frozen.send_signal(signal.SIGCONT)
    await until(lambda: said(field, "lease lost"))

    assert ended["status"] == "completed"
    assert await all_of(field, job_id) == (ended, told)
    assert await effects_of(field.resources.db, job_id) == list(range(items))


async def all_of(field: Field, job_id: UUID) -> tuple[dict[str, object], list[str]]:
    """Every column of the row, and the audit trail."""
    row = await field.row(job_id)
    values = {column.key: getattr(row, column.key) for column in BackgroundJob.__table__.columns}
    return values, [event.kind for event in await field.events(job_id)]


@pytest.mark.slow
async def test_a_live_sibling_is_never_recovered(field: Field) -> None:
    jobs = [await field.ask(Await(seconds=7)) for _ in range(6)]
    steady = field.worker()
    for job_id in jobs:
        await field.stands(job_id, "running")
    for _ in range(4):  # restarts beside it
        restless = field.worker()
        await asyncio.sleep(1.2)
        os.kill(restless.pid, signal.SIGKILL)
        restless.wait()

    for job_id in jobs:
        row = await field.stands(job_id, "completed", "failed")
        assert (row.status, row.attempt, row.lapses) == ("completed", 1, 0)
    assert steady.poll() is None


@pytest.mark.slow
async def test_twenty_restarts_beside_two_busy_siblings_recover_nothing_of_theirs(
    arq_field: Field,
) -> None:
    """Jobs of fifteen leases, every processor busy; one worker of three dies twenty times."""
    field = arq_field
    field.busy_processors()
    long = [await field.ask(Await(seconds=45)) for _ in range(8)]
    field.worker("database")
    field.worker("arq")
    for job_id in long:
        await field.stands(job_id, "running")
    short: list[UUID] = []
    for _ in range(20):
        restless = field.worker("database")
        short += [await field.ask(Count(items=20, pause=0.01)) for _ in range(5)]
        await asyncio.sleep(1.3)
        restless.kill()
        restless.wait()

    for job_id in long:
        row = await field.stands(job_id, "completed", "failed", seconds=60)
        assert (row.status, row.attempt, row.lapses) == ("completed", 1, 0)
    for job_id in short:
        row = await field.stands(job_id, "completed", "failed", seconds=60)
        assert (row.status, row.processed_items) == ("completed", 20)
