"""Workers of the last version beside those of the next, which knows more kinds; row 23."""

import asyncio

import pytest

from app.jobs.engines.arq import open_redis, queue_key
from tests.engines.jobs import Count
from tests.faults.conftest import Field
from tests.faults.jobs import Write

pytestmark = pytest.mark.fault

on_each_engine = pytest.mark.parametrize("engine", ["database", "arq"])

_OLD = {"TEST_JOBS": "tests.engines.jobs"}  # it has never heard of `Write`


@on_each_engine
async def test_an_old_worker_leaves_a_new_kind_and_does_the_rest(
    steady_field: Field, engine: str
) -> None:
    field = steady_field
    old = field.worker(engine, **_OLD)
    new_kind = await field.ask(Write(items=3))
    for job_id in [await field.ask(Count(items=2)) for _ in range(10)]:
        await field.completed(job_id)
    await asyncio.sleep(1.5)
    row = await field.row(new_kind)
    assert (row.status, row.attempt) == ("queued", 0)
    assert [event.kind for event in await field.events(new_kind)] == ["queued"]

    field.worker(engine)

    assert (await field.completed(new_kind, seconds=15)).attempt == 1
    assert old.poll() is None


@on_each_engine
@pytest.mark.slow
async def test_new_kinds_are_done_at_once_although_old_workers_hear_of_them_too(
    steady_field: Field, engine: str
) -> None:
    field = steady_field
    workers = [field.worker(engine, **_OLD), field.worker(engine, **_OLD), field.worker(engine)]
    for job_id in [await field.ask(Count(items=1)) for _ in range(6)]:
        await field.completed(job_id)  # all are up

    for _ in range(3):
        jobs = [await field.ask(kind(items=1)) for kind in (Write, Count, Write, Count)]
        for job_id in jobs:
            assert (await field.completed(job_id, seconds=5)).attempt == 1

    assert [worker.poll() for worker in workers] == [None] * 3


@pytest.mark.slow
async def test_an_entry_of_a_function_that_arq_does_not_know_ends_no_job(
    steady_field: Field,
) -> None:
    """As somebody else may put it into the set: stock arq fails it, and only its own copy."""
    field = steady_field
    old = field.worker("arq", **_OLD)
    await field.completed(await field.ask(Count(items=1)))
    job_id = await field.ask(Write(items=1))
    assert field.settings.redis_url is not None
    redis = open_redis(field.settings.redis_url.get_secret_value(), max_connections=1)
    await redis.enqueue_job("write_arq", str(job_id), _queue_name=queue_key("default"))
    await asyncio.sleep(1.5)
    assert await redis.zcard(queue_key("default")) == 0  # the old worker has taken it
    await redis.aclose(True)
    assert (await field.row(job_id)).status == "queued"

    field.worker("arq")

    assert (await field.completed(job_id, seconds=15)).attempt == 1
    assert old.poll() is None
