"""Another process keeps the SQLite file to itself; row 10."""

import asyncio

import httpx
import pytest

from tests.engines.jobs import Await
from tests.faults.conftest import Busy
from tests.faults.jobs import WriteOnce, effects_of
from tests.faults.servers_of_own import called, locked

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

_ANSWER_WITHIN = 5.5


@pytest.mark.parametrize("seconds", [3.0, 10.0])
async def test_a_locked_file_fails_no_job_and_no_reader(
    busy: Busy, api: httpx.AsyncClient, seconds: float
) -> None:
    field = busy.field
    once = await field.ask(WriteOnce(items=40, pause=0.1))
    ends_meanwhile = await field.ask(Await(seconds=2.0))
    await field.reached(once, 3)
    await field.stands(ends_meanwhile, "running")
    path = field.resources.db.url.database or ""
    async with called(api, busy.jobs[0]) as answers:
        async with locked(path, seconds):
            await asyncio.sleep(seconds)
        await busy.go_on()

    for answer in answers:
        assert answer.fine or (answer.method == "POST" and answer.patient), answer
        assert answer.seconds < _ANSWER_WITHIN, answer
    assert [row.attempt for row in await busy.completed_once()] == [1] * len(busy.jobs)
    for job_id in (once, ends_meanwhile):
        assert (await field.completed(job_id)).attempt == 1
    assert await effects_of(field.resources.db, once) == list(range(40))
    for answer in answers:
        if answer.job_id is not None:
            await field.completed(answer.job_id)
