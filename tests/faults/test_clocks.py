"""Workers whose clocks are wrong, and schedules that many workers knock; rows 13 and 14."""

import asyncio
import json
import signal
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from subprocess import Popen
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.core.clock import utcnow
from app.jobs.models import BackgroundJob
from app.jobs.spec import JobArgs
from tests.databases import on_postgresql, on_sqlite
from tests.engines.jobs import Await, Count
from tests.faults.conftest import Field
from tests.faults.cron_jobs import PERIOD
from tests.faults.jobs import effects_of
from tests.waiting import until

pytestmark = [pytest.mark.fault, pytest.mark.slow]

_LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
_CRON = {"TEST_JOBS": "tests.faults.cron_jobs"}
_LONG_AGO = timedelta(minutes=5)  # due by every clock here

with_wrong_clocks = pytest.mark.skipif(
    _LIBRARY is None, reason="needs libfaketime: apt-get install libfaketime"
)


def clock(shift: str) -> dict[str, str]:
    """The environment of a process whose wall clock, and only that, is off by `shift`."""
    return {"LD_PRELOAD": str(_LIBRARY), "FAKETIME": shift, "DONT_FAKE_MONOTONIC": "1"}


async def clocks_are_wrong(field: Field) -> None:
    """Wait until a worker ahead of the time and one behind it have said something."""

    async def look() -> bool:
        whole = field.logged().rpartition("\n")[0].splitlines()
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        stamps = [datetime.fromisoformat(line["timestamp"]) for line in lines]
        off, now = timedelta(seconds=60), utcnow()
        return bool(stamps) and max(stamps) > now + off and min(stamps) < now - off

    await until(look)


async def slots(field: Field) -> list[BackgroundJob]:
    """The rows of the schedule, in order."""
    scheduled = select(BackgroundJob).where(BackgroundJob.schedule == "often")
    async with field.resources.db.reading() as session:
        return list((await session.scalars(scheduled.order_by(BackgroundJob.slot))).all())


async def asked_for(field: Field, count: int) -> list[BackgroundJob]:
    """The rows once there are so many, all of them at their end."""

    async def look() -> list[BackgroundJob]:
        rows = await slots(field)
        return rows if len(rows) >= count else []

    rows = await until(look, 10 + 2 * count * PERIOD.total_seconds())
    return [await field.completed(row.id) for row in rows]


async def assert_each_slot_once(field: Field, rows: Sequence[BackgroundJob]) -> None:
    """Asked for when due and not before, by the database's clock; done once."""
    for row in rows:
        assert row.slot is not None
        assert timedelta() <= row.created_at - row.slot < PERIOD
        assert row.attempt == 1
        assert await effects_of(field.resources.db, row.id) == [0]


def gaps(rows: Sequence[BackgroundJob]) -> list[timedelta]:
    moments = [row.slot for row in rows if row.slot is not None]
    return [later - earlier for earlier, later in pairwise(moments)]


@with_wrong_clocks
@on_postgresql
@pytest.mark.parametrize("engine", ["database", "arq"])
async def test_each_slot_comes_once_and_not_early_whatever_the_clocks_of_workers_say(
    steady_field: Field, engine: str
) -> None:
    for shift in ({}, clock("+90s"), clock("-90s")):
        steady_field.worker(engine, **_CRON, **shift)
    await clocks_are_wrong(steady_field)

    rows = await asked_for(steady_field, len(await slots(steady_field)) + 5)

    await assert_each_slot_once(steady_field, rows)
    assert set(gaps(rows)) == {PERIOD}


async def test_three_workers_make_one_job_of_each_slot_and_only_the_latest_missed_one(
    steady_field: Field,
) -> None:
    """Nobody works for more than two slots; then the last of them is made up, within its time."""
    workers = [steady_field.worker(engine, **_CRON) for engine in ("database", "arq", "database")]
    before = await asked_for(steady_field, 3)
    for worker in workers:
        worker.kill()
    await asyncio.sleep(2.5 * PERIOD.total_seconds())

    steady_field.worker("arq", **_CRON)
    rows = await asked_for(steady_field, len(before) + 3)

    await assert_each_slot_once(steady_field, rows)
    assert set(gaps(before)) == {PERIOD}
    assert sum(gap != PERIOD for gap in gaps(rows)) == 1
    assert max(gaps(rows)) >= 2 * PERIOD


@with_wrong_clocks
@on_postgresql
@pytest.mark.parametrize("shift", ["+90s", "-90s"])
async def test_a_wrong_clock_starts_no_job_early_or_late_and_rings_no_more_often(
    steady_field: Field, shift: str
) -> None:
    steady_field.worker("arq", **clock(shift))
    await steady_field.completed(await steady_field.ask(Count(items=1)), seconds=15)
    due = utcnow() + timedelta(seconds=3)

    row = await steady_field.completed(
        await steady_field.ask(Count(items=1), run_after=due), seconds=10
    )

    assert row.started_at is not None
    assert timedelta() <= row.started_at - due < timedelta(seconds=5)
    assert row.ring < 10


@with_wrong_clocks
@on_sqlite
async def test_a_wrong_wall_clock_neither_loses_nor_takes_a_lease_on_sqlite(
    steady_field: Field, lease: float, record_property: Any
) -> None:
    """SQLite has no clock but its processes'; leases are counted in seconds since the boot."""
    field = steady_field

    async def held(args: JobArgs, **shift: str) -> tuple[Popen[bytes], UUID]:
        """A worker, and the only job that it runs."""
        worker = field.worker(ARQ_MAX_JOBS="1", **shift)
        job_id = await field.ask(args, run_after=utcnow() - _LONG_AGO)
        await field.stands(job_id, "running")
        return worker, job_id

    long = Await(seconds=lease + 2)
    steady = [(await held(long))[1], (await held(long, **clock("+90s")))[1]]
    frozen, lost = await held(Count(items=60, pause=0.05), **clock("-90s"))
    await field.reached(lost, 1)
    async with field.resources.db.transaction() as session:
        await session.connection()  # a frozen process would keep SQLite's lock from everybody
        frozen.send_signal(signal.SIGSTOP)
    began = time.monotonic()

    async def recovered() -> bool:
        return "recovered" in [event.kind for event in await field.events(lost)]

    await until(recovered, 2 * lease)
    waited = time.monotonic() - began
    record_property("seconds until the frozen worker's job was taken", round(waited, 2))

    assert lease - 2 < waited < lease + 8
    assert (await field.completed(lost)).attempt == 2
    for job_id in steady:
        row = await field.completed(job_id)
        assert row.attempt == 1
        assert row.started_at is not None
        assert row.completed_at is not None
        assert (row.completed_at - row.started_at).total_seconds() > lease
    await clocks_are_wrong(field)
