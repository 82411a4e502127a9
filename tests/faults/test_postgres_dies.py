"""PostgreSQL restarts and hangs under workers of both engines and an API; rows 8 and 9."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.chaos.servers import Postgres
from app.jobs.store.workers import alive
from tests.faults.conftest import Busy, Field
from tests.faults.jobs import Tick, Write, WriteOnce, effects_of
from tests.faults.servers_of_own import Answer, call, called, hung, restart
from tests.waiting import until

pytestmark = [pytest.mark.fault, pytest.mark.slow]

_ANSWER_WITHIN = 5.5  # the promise is five seconds


@pytest.fixture
def database_url(own_database: str) -> str:
    return own_database


def assert_no_error_but_a_pause(answers: list[Answer], back: float) -> None:
    """While the server was away a caller may have been asked to come again; never after."""
    assert {answer.method for answer in answers if answer.began > back} == {"GET", "POST"}
    for answer in answers:
        assert answer.fine or (answer.status == 503 and answer.patient), answer
        assert answer.fine or answer.began < back, answer
        assert answer.seconds < _ANSWER_WITHIN, answer


async def assert_kept(field: Field, answers: list[Answer]) -> None:
    """What was accepted in between is done, once."""
    accepted = [answer.job_id for answer in answers if answer.job_id is not None]
    assert accepted
    for job_id in accepted:
        await field.completed(job_id)
        assert await effects_of(field.resources.db, job_id) == [0]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
async def test_a_restart_is_no_error_to_callers_and_costs_no_job_an_item(
    busy: Busy,
    api: httpx.AsyncClient,
    own_postgres: Postgres,
    how: signal.Signals,
    record_property: Any,
) -> None:
    async with called(api, busy.jobs[0]) as answers:
        await restart(own_postgres, how)
        back = time.monotonic()
        await busy.go_on()
        record_property("seconds until every job went on", round(time.monotonic() - back, 2))
        await asyncio.sleep(1.0)

    assert_no_error_but_a_pause(answers, back)
    rows = await busy.completed_once()
    assert max(row.attempt for row in rows) <= 2  # a step that was under way may have failed
    await assert_kept(busy.field, answers)


async def test_restarts_do_not_use_up_the_attempts_of_a_job_that_gets_further(
    steady_field: Field, own_postgres: Postgres
) -> None:
    """Nearly always in the middle of a step, so that each restart breaks one."""
    steady_field.worker()
    job_id = await steady_field.ask(Write(items=2500))
    for _ in range(4):
        row = await steady_field.row(job_id)
        row = await steady_field.reached(job_id, row.processed_items + 20, 30)
        assert row.status in ("queued", "running")
        await restart(own_postgres, signal.SIGINT)

    await steady_field.completed(job_id)

    assert await effects_of(steady_field.resources.db, job_id) == list(range(2500))


async def test_a_server_that_hangs_for_less_than_a_lease_costs_nothing(
    busy: Busy, api: httpx.AsyncClient, own_postgres: Postgres
) -> None:
    once = await busy.field.ask(WriteOnce(items=60, pause=0.1))
    await busy.field.reached(once, 3)
    async with called(api, busy.jobs[0]) as answers:
        with hung(own_postgres):
            began = time.monotonic()
            looked, asked = await asyncio.gather(call(api, once), call(api))
            await asyncio.sleep(8.0 - (time.monotonic() - began))
        back = time.monotonic()
        await busy.go_on()
        await asyncio.sleep(1.0)

    assert (looked.status, looked.patient, asked.status, asked.patient) == (503, True, 503, True)
    assert_no_error_but_a_pause([looked, asked, *answers], back)
    assert [row.attempt for row in await busy.completed_once()] == [1] * len(busy.jobs)
    assert (await busy.field.completed(once)).attempt == 1
    await assert_kept(busy.field, answers)


@pytest.mark.parametrize("lease", [3.0])
async def test_a_worker_that_cannot_renew_its_lease_stops_what_it_does(
    busy: Busy, own_postgres: Postgres, tmp_path: Path, lease: float
) -> None:
    """What it does outside the database is all that could go on: steps hang anyhow.

    And nobody takes its jobs for lost when the server is back, though their leases have lapsed:
    neither of the busy workers, nor one that was idle and has noticed nothing.
    """
    ticks = tmp_path / "ticks"
    job_id = await busy.field.ask(Tick(path=str(ticks), seconds=8))
    await busy.field.stands(job_id, "running")
    idle = busy.field.worker()
    await until(lambda: signed_in(busy.field, 3))
    await asyncio.sleep(2.5)  # a worker that has just come takes nothing for lost
    with hung(own_postgres):
        await asyncio.sleep(lease + 1.0)
        stopped = len(ticks.read_text())
        await asyncio.sleep(0.7)  # less than five seconds in all: then nothing else has failed
        assert len(ticks.read_text()) == stopped

    row = await busy.field.completed(job_id)
    assert (row.attempt, len(ticks.read_text()) > stopped) == (1, True)
    await busy.completed_once()
    assert idle.poll() is None


async def signed_in(field: Field, count: int) -> bool:
    async with field.resources.db.reading() as session:
        return len(await alive(session, 60)) == count
