"""A network to Redis that hangs or breaks; row 7 of the matrix."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable

import pytest

from app.chaos.servers import Valkey
from tests.faults.conftest import Field
from tests.faults.crew import open_door, running, said
from tests.faults.jobs import Write, effects_of
from tests.faults.proxy import Mode, Proxy
from tests.waiting import until

pytestmark = pytest.mark.fault

Record = Callable[[str, object], None]


@pytest.fixture
def lease() -> float:
    return 3.0


@pytest.fixture
async def proxy(own_valkey: Valkey) -> AsyncIterator[Proxy]:
    async with Proxy(own_valkey.port) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["blackhole", "reset"])
async def test_work_goes_on_from_the_table_when_redis_hangs(
    steady_field: Field, proxy: Proxy, mode: Mode, record_property: Record
) -> None:
    field, behind = steady_field, {"REDIS_URL": proxy.redis_url}
    worker = field.worker("arq", **behind)
    async with open_door(field, **behind) as door:
        long, _seconds = await door.ask(Write(items=120, pause=0.05))
        await running(field, long, processed=1)

        proxy.switch(mode)
        began = time.monotonic()
        asked = [await door.ask(Write(items=1)) for _ in range(20)]
        slowest = max(seconds for _job_id, seconds in asked)
        for job_id, _seconds in asked:
            assert (await field.stands(job_id, "completed", "failed")).status == "completed"
        from_table = time.monotonic() - began

        proxy.switch("pass")
        back = time.monotonic()
        await until(lambda: said(field, "redis is back"), 10)
        heard = time.monotonic() - back
        after, _seconds = await door.ask(Write(items=1))
        await field.stands(after, "completed", seconds=5)

    record_property("slowest POST in ms", round(1000 * slowest))
    record_property("seconds for twenty jobs from the table", round(from_table, 2))
    record_property("seconds until Redis is used again", round(heard, 2))
    assert slowest < 0.3
    assert from_table <= 10.0
    assert heard <= 5.0
    row = await field.stands(long, "completed", "failed")
    assert (row.status, row.attempt) == ("completed", 1)
    assert await effects_of(field.resources.db, long) == list(range(120))
    assert worker.poll() is None


async def test_a_worker_stops_cleanly_while_redis_hangs(steady_field: Field, proxy: Proxy) -> None:
    field = steady_field
    worker = field.worker("arq", REDIS_URL=proxy.redis_url)
    job_id = await field.ask(Write(items=300, pause=0.05))
    await running(field, job_id, processed=1)
    proxy.switch("blackhole")
    await asyncio.sleep(0.5)

    asked = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(worker.wait, 30)

    assert code == 0, field.logged()[-2000:]
    assert time.monotonic() - asked < 10.0
    row = await field.row(job_id)
    assert (row.status, row.attempt) == ("queued", 0)
