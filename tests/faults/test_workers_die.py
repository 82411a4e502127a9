"""Workers that are killed, stopped, frozen or blocked; rows 1, 2, 3 and 15 of the matrix."""

import asyncio
import os
import signal
import time
from uuid import UUID

import pytest

from tests.engines.jobs import Await, Count, Poison
from tests.faults.conftest import Field

pytestmark = pytest.mark.fault


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
async def test_a_stopped_worker_releases_and_exits_cleanly(arq_field: Field, engine: str) -> None:
    field = arq_field
    job_id = await field.ask(Count(items=200, pause=0.02))
    worker = field.worker(engine)
    await field.reached(job_id, 10)

    asked = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGTERM)  # impatience changes nothing
    code = worker.wait(timeout=10)

    row = await field.row(job_id)
    assert code == 0, field.logged()[-2000:]
    assert time.monotonic() - asked < 4.0
    assert (row.status, row.attempt) == ("queued", 0)
    assert row.processed_items >= 10


async def test_a_frozen_worker_changes_nothing_when_it_thaws(field: Field) -> None:
    job_id = await field.ask(Count(items=80, pause=0.05))
    frozen = field.worker()
    await field.reached(job_id, 5)
    frozen.send_signal(signal.SIGSTOP)
    other = field.worker()
    row = await field.reached(job_id, 30, seconds=25)
    assert row.worker_id is not None
    owner = row.worker_id

    frozen.send_signal(signal.SIGCONT)
    row = await field.stands(job_id, "completed", "failed")

    assert (row.status, row.processed_items, row.worker_id) == ("completed", 80, owner)
    assert other.poll() is None
    async with asyncio.timeout(10):
        while "lease lost" not in field.logged():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("how", ["exit", pytest.param("segfault", marks=pytest.mark.slow)])
async def test_what_kills_three_workers_in_a_row_is_poison(field: Field, how: str) -> None:
    poison = await field.ask(Poison(how=how))
    bystanders = [await field.ask(Await(seconds=0.05)) for _ in range(5)]
    workers = [field.worker() for _ in range(2)]
    async with asyncio.timeout(60):
        while (await field.row(poison)).status in ("queued", "running"):
            for number, worker in enumerate(workers):
                if worker.poll() is not None:
                    workers[number] = field.worker()
            await asyncio.sleep(0.1)

    row = await field.row(poison)
    assert (row.status, row.error_type) == ("failed", "poison")
    for job_id in bystanders:
        assert (await field.stands(job_id, "completed", "failed")).status == "completed"


async def test_a_handler_that_blocks_the_loop_is_charged_and_the_process_ends_with_75(
    field: Field,
) -> None:
    innocent = await field.ask(Count(items=400, pause=0.02))
    worker = field.worker()
    await field.reached(innocent, 5)
    guilty = await field.ask(Poison(how="block"))

    code = await asyncio.to_thread(worker.wait, 20)

    assert code == 75, field.logged()[-3000:]
    row = await field.row(guilty)
    assert (row.status, row.lapses) == ("queued", 1)
    row = await field.row(innocent)
    assert (row.status, row.lapses, row.attempt) == ("queued", 0, 0)
    assert [event.kind for event in await field.events(innocent)][-1] == "released"


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
    """Three workers under load; one is killed and started again twenty times."""
    field = arq_field
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
