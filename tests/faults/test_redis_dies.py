"""Redis emptied, gone, late, and doubled; rows 4, 5, 6 and 12 of the matrix."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from app.chaos.servers import Valkey
from app.jobs.engines.arq import ArqBell, open_redis, queue_key, wake_channel
from app.jobs.queue import Ring
from tests.engines.jobs import Await, Count
from tests.faults.conftest import Field
from tests.faults.crew import open_door, running
from tests.faults.jobs import Write, effects_of
from tests.waiting import until

pytestmark = pytest.mark.fault

THOUSAND = 1000
Record = Callable[[str, object], None]


@pytest.fixture
def lease() -> float:
    return 3.0


async def flush(valkey: Valkey) -> None:
    redis = open_redis(valkey.url, max_connections=1)
    await redis.flushall()
    await redis.aclose(True)


async def restart(valkey: Valkey) -> None:
    """As a crash, without persistence: it comes back empty."""
    await asyncio.to_thread(valkey.stop, signal.SIGKILL)
    await asyncio.to_thread(valkey.start)


async def rings(valkey: Valkey) -> int:
    redis = open_redis(valkey.url, max_connections=1)
    count = int(await redis.zcard(queue_key("default")))
    await redis.aclose(True)
    return count


@pytest.mark.slow
@pytest.mark.parametrize("lose", [flush, restart])
async def test_a_thousand_queued_jobs_survive_an_emptied_redis(
    steady_field: Field, own_valkey: Valkey, lose: Callable[[Valkey], Awaitable[None]]
) -> None:
    """It is emptied before any of them has run, and once more in the middle."""
    field = steady_field
    async with field.resources.db.transaction() as session:
        for _ in range(THOUSAND):
            await field.queue.enqueue(session, Write(items=1))

    async def all_rung() -> bool:
        return await rings(own_valkey) == THOUSAND

    await until(all_rung)
    await lose(own_valkey)
    assert await rings(own_valkey) == 0

    workers = [field.worker("arq", ARQ_MAX_JOBS="50") for _ in range(2)]
    await completed(field, 300)
    await lose(own_valkey)
    await completed(field, THOUSAND)
    await asyncio.sleep(1.0)  # for what might run a second time

    assert await tally(field) == (THOUSAND, THOUSAND, THOUSAND, THOUSAND)
    assert all(worker.poll() is None for worker in workers)


async def tally(field: Field) -> tuple[int, ...]:
    """How many jobs are completed, attempts were started, items have effects, jobs have effects."""
    async with field.resources.db.reading() as session:
        return tuple((await session.execute(text(_TALLY))).one())


_TALLY = """
SELECT (SELECT count(*) FROM background_jobs WHERE status = 'completed'),
  (SELECT count(*) FROM job_events WHERE kind = 'started'),
  (SELECT count(*) FROM effects), (SELECT count(DISTINCT job_id) FROM effects)"""


async def completed(field: Field, count: int) -> None:
    async def look() -> bool:
        return (await tally(field))[0] >= count

    await until(look, 60)


@pytest.mark.slow
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


async def listening(valkey: Valkey) -> bool:
    """Whether some worker hears what is rung through Redis."""
    redis = open_redis(valkey.url, max_connections=1)
    try:
        channel = wake_channel("default")
        return int(dict(await redis.pubsub_numsub(channel))[channel.encode()]) > 0
    finally:
        await redis.aclose(True)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # no matter which
async def test_a_worker_outlives_half_a_minute_without_redis(
    steady_field: Field, own_valkey: Valkey, record_property: Record
) -> None:
    field = steady_field
    worker = field.worker("arq")
    long = await field.ask(Write(items=400, pause=0.1))
    await running(field, long, processed=5)

    await asyncio.to_thread(own_valkey.stop)
    waits = []
    for _ in range(6):
        asked = time.monotonic()
        meanwhile = await field.ask(Write(items=1))
        await field.stands(meanwhile, "completed", seconds=10)
        waits.append(time.monotonic() - asked)
        await asyncio.sleep(5.0 - waits[-1])
    before = (await field.row(long)).processed_items
    await asyncio.to_thread(own_valkey.start)
    back = time.monotonic()
    await until(lambda: listening(own_valkey), 5.0)
    heard = time.monotonic() - back
    after = await field.ask(Write(items=1))
    await field.stands(after, "completed", seconds=5.0)
    resumed = time.monotonic() - back

    record_property("seconds to listen again", round(heard, 2))
    record_property("seconds to the first job after", round(resumed, 2))
    record_property("longest wait meanwhile", round(max(waits), 2))
    assert resumed <= 5.0
    assert "redis is back" in field.logged()
    assert before > 150  # it went on all the while
    row = await field.stands(long, "completed", "failed")
    assert (row.status, row.attempt) == ("completed", 1)
    assert await effects_of(field.resources.db, long) == list(range(400))
    assert worker.poll() is None


async def test_asking_does_not_wait_for_a_redis_that_is_away(
    steady_field: Field, own_valkey: Valkey, record_property: Record
) -> None:
    """Through the real door: twenty POSTs, none of which may take 300 ms."""
    async with open_door(steady_field) as door:
        await door.ask(Write(items=1))  # connections, caches
        own_valkey.stop()
        asked = [await door.ask(Write(items=1)) for _ in range(20)]
        slowest = max(seconds for _job_id, seconds in asked)
        own_valkey.start()
        steady_field.worker("arq")
        for job_id, _seconds in asked:
            row = await steady_field.stands(job_id, "completed", "failed")
            assert (row.status, row.attempt) == ("completed", 1)

    record_property("slowest POST in ms", round(1000 * slowest))
    assert slowest < 0.3


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
