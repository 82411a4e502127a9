"""Redis emptied, gone, late, and doubled; rows 4, 5, 6 and 12 of the matrix."""

import asyncio
import time

import pytest

from app.chaos.servers import Valkey
from app.jobs.engines.arq import ArqBell, open_redis, queue_key
from app.jobs.queue import Ring
from tests.engines.jobs import Await, Count
from tests.faults.conftest import Field

pytestmark = pytest.mark.fault


async def flush(valkey: Valkey) -> None:
    redis = open_redis(valkey.url, max_connections=1)
    await redis.flushall()
    await redis.aclose(True)


async def test_a_hundred_queued_jobs_survive_a_flushall(
    arq_field: Field, own_valkey: Valkey
) -> None:
    jobs = [await arq_field.ask(Count(items=1)) for _ in range(100)]
    await asyncio.sleep(0.3)
    await flush(own_valkey)

    arq_field.worker("arq")

    for job_id in jobs:
        assert (await arq_field.stands(job_id, "completed", "failed")).status == "completed"


async def test_a_worker_outlives_redis(arq_field: Field, own_valkey: Valkey) -> None:
    worker = arq_field.worker("arq")
    before = await arq_field.ask(Count(items=1))
    await arq_field.stands(before, "completed")
    long = await arq_field.ask(Count(items=60, pause=0.1))
    await arq_field.reached(long, 2)

    own_valkey.stop()
    meanwhile = await arq_field.ask(Count(items=1))
    await arq_field.stands(meanwhile, "completed", seconds=10)  # straight from the table
    own_valkey.start()
    after = await arq_field.ask(Count(items=1))

    assert (await arq_field.stands(after, "completed", seconds=10)).attempt == 1
    assert (await arq_field.stands(long, "completed")).attempt == 1
    assert worker.poll() is None


async def test_asking_does_not_wait_for_a_redis_that_is_away(
    arq_field: Field, own_valkey: Valkey
) -> None:
    own_valkey.stop()

    began = time.monotonic()
    job_id = await arq_field.ask(Count(items=1))
    took = time.monotonic() - began

    assert took < 0.3
    own_valkey.start()
    arq_field.worker("arq")
    assert (await arq_field.stands(job_id, "completed")).status == "completed"


async def test_a_job_that_is_delivered_many_times_runs_once(
    arq_field: Field, own_valkey: Valkey
) -> None:
    job_id = await arq_field.ask(Await(seconds=0.5))
    row = await arq_field.row(job_id)
    redis = open_redis(own_valkey.url, max_connections=1)
    again = [Ring(job_id, n, "await_arq", "default", 0, row.run_after) for n in range(2, 12)]
    await ArqBell(redis).ring(again)
    await redis.enqueue_job("await_arq", str(job_id), _queue_name=queue_key("default"))

    workers = [arq_field.worker("arq") for _ in range(2)]
    row = await arq_field.stands(job_id, "completed")
    await asyncio.sleep(1.0)

    assert [event.kind for event in await arq_field.events(job_id)].count("started") == 1
    assert row.attempt == 1
    assert all(worker.poll() is None for worker in workers)
    assert await redis.zcard(queue_key("default")) <= 1  # our own override counts itself
    await redis.aclose(True)


async def test_both_engines_work_side_by_side_on_one_table(arq_field: Field) -> None:
    jobs = [await arq_field.ask(Await(seconds=0.05)) for _ in range(40)]

    arq_field.worker("arq")
    arq_field.worker("database")

    for job_id in jobs:
        row = await arq_field.stands(job_id, "completed", "failed")
        assert (row.status, row.attempt) == ("completed", 1)
