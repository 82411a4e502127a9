from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, update

from app.core.clock import utcnow
from app.core.db import Database
from app.jobs.maintenance import Prune, prune, rescue
from app.jobs.models import BackgroundJob
from app.notes import reminder_rows
from app.notes.models import Channel
from app.resources import Resources, open_resources
from app.usage.models import TokenReservation
from app.usage.store import reserve
from tests.cli.conftest import Rows, Terminal
from tests.conftest import MakeSettings
from tests.databases import (
    on_postgresql_and_when_there_is_time_on_sqlite,
    on_sqlite_and_when_there_is_time_on_postgresql,
)
from tests.harness import JobHarness


def lapsed(db: Database) -> dict[str, Any]:
    """The columns of a running job whose worker went away on another host."""
    end: Any = 0.0 if db.is_sqlite else utcnow() - timedelta(minutes=1)
    gone = {"worker_id": "elsewhere:boot:1:2:3", "lease_token": uuid4(), "lease_boot": ""}
    return {"status": "running", "lease_expires_at": end, "attempt": 1} | gone


def ended(ago: timedelta) -> dict[str, Any]:
    return {"status": "completed", "completed_at": utcnow() - ago}


async def test_prune_prints_how_many_it_forgot(either: Terminal, either_rows: Rows) -> None:
    for _ in range(3):
        await either_rows.set(await either_rows.ask(), **ended(timedelta(days=31)))
    waiting = await either_rows.ask()

    done = either.run("maintenance", "prune")
    again = either.json("maintenance", "prune")

    assert done.stdout.splitlines()[-1] == "3"
    assert (again["affected"], again["job_type"]) == (0, "prune")
    row = await either_rows.harness.row(again["job_id"])
    assert (row.status, row.slot, row.result) == ("completed", None, {"affected": 0})
    assert await either_rows.status(waiting) == "queued"


@on_sqlite_and_when_there_is_time_on_postgresql
async def test_cleanup_reservations_frees_what_is_held_too_long(
    either: Terminal, either_rows: Rows
) -> None:
    async with either_rows.harness.resources.db.transaction() as session:
        for _ in range(2):
            await reserve(session, uuid4(), "research", 10)
        older = utcnow() - timedelta(seconds=700)
        await session.execute(update(TokenReservation).values(created_at=older))
        await reserve(session, uuid4(), "research", 10)

    done = either.run("maintenance", "cleanup-reservations")
    again = either.json("maintenance", "cleanup-reservations")

    assert done.stdout.splitlines()[-1] == "2"
    assert (again["affected"], again["job_type"]) == (0, "reservation_cleanup")
    row = await either_rows.harness.row(again["job_id"])
    assert (row.status, row.slot) == ("completed", None)


@on_sqlite_and_when_there_is_time_on_postgresql
async def test_send_reminders_sends_what_is_due(either: Terminal, either_rows: Rows) -> None:
    moment = utcnow()
    async with either_rows.harness.resources.db.transaction() as session:
        for due in (moment - timedelta(minutes=1), moment, moment + timedelta(hours=1)):
            how: dict[str, Any] = {"channel": Channel.LOG, "recipient": None, "note_id": None}
            await reminder_rows.add(session, uuid4(), message="m", scheduled_at=due, **how)

    done = either.run("maintenance", "send-reminders")
    again = either.json("maintenance", "send-reminders")

    assert done.stdout.splitlines()[-1] == "2"
    assert (again["affected"], again["job_type"]) == (0, "reminder_dispatch")


@on_postgresql_and_when_there_is_time_on_sqlite
async def test_a_lost_run_does_not_hold_up_the_new_one(either: Terminal, either_rows: Rows) -> None:
    """It holds the lane of the reminders, and no worker is there to look."""
    resources = either_rows.harness.resources
    lost = await either_rows.ask()
    await either_rows.set(lost, kind="reminder_dispatch", lane="reminders", **lapsed(resources.db))
    async with resources.db.transaction() as session:
        how: dict[str, Any] = {"channel": Channel.LOG, "recipient": None, "note_id": None}
        await reminder_rows.add(session, uuid4(), message="m", scheduled_at=utcnow(), **how)

    done = either.json("maintenance", "send-reminders")

    assert done["affected"] == 1
    assert await either_rows.harness.events(lost) == ["queued", "recovered"]


@on_sqlite_and_when_there_is_time_on_postgresql
async def test_rescue_takes_back_what_lost_its_worker(either: Terminal, either_rows: Rows) -> None:
    lost, waiting = [await either_rows.ask() for _ in range(2)]
    await either_rows.set(lost, **lapsed(either_rows.harness.resources.db))

    done = either.run("maintenance", "rescue")

    assert (done.stdout, done.returncode) == ("1\n", 0)
    assert await either_rows.status(lost) == "queued"
    assert await either_rows.harness.events(lost) == ["queued", "recovered"]
    assert await either_rows.status(waiting) == "queued"


async def test_nothing_is_forgotten_before_its_time(make_settings: MakeSettings) -> None:
    settings = make_settings(job_retention_days=0, arq_keep_result=3600)
    async with open_resources(settings) as resources:
        jobs = Rows(JobHarness(resources, [prune]))
        young, old = [await jobs.ask() for _ in range(2)]
        await jobs.set(young, **ended(timedelta(minutes=50)))
        await jobs.set(old, **ended(timedelta(minutes=70)))

        row = await jobs.harness.run(Prune())

        assert row.result == {"affected": 1}
        assert await jobs.status(young) == "completed"


async def ticks(jobs: Rows, kind: str, count: int, **values: Any) -> list[UUID]:
    """So many ended runs of a schedule, five minutes apart, the newest one two hours ago."""
    ids = []
    for number in range(count):
        slot = utcnow() - timedelta(hours=2, minutes=5 * (count - number))
        values |= {"status": "completed", "completed_at": slot, "slot": slot}
        ids.append(await jobs.ask())
        await jobs.set(ids[-1], kind=kind, schedule=kind, **values)
    return ids


async def test_scheduled_runs_that_found_nothing_are_kept_for_two_slots(
    resources: Resources,
) -> None:
    jobs = Rows(JobHarness(resources, [prune]))
    idle = await ticks(jobs, "prune", 5)
    other = await ticks(jobs, "other", 5)  # no maintenance
    busy = await ticks(jobs, "rescue", 5, processed_items=1)
    harness = JobHarness(resources, [prune, rescue])

    rows = [await harness.run(Prune()) for _ in range(2)]

    assert [row.result for row in rows] == [{"affected": 3}, {"affected": 0}]
    async with resources.db.reading() as session:
        left = set(await session.scalars(select(BackgroundJob.id)))
    assert left == {*idle[3:], *other, *busy, *(row.id for row in rows)}


async def test_a_run_that_found_nothing_is_readable_for_as_long_as_any(
    make_settings: MakeSettings,
) -> None:
    async with open_resources(make_settings(arq_keep_result=3 * 3600)) as resources:
        jobs = Rows(JobHarness(resources, [prune]))
        await ticks(jobs, "prune", 5)

        assert (await jobs.harness.run(Prune())).result == {"affected": 0}


async def test_maintenance_is_forgotten_after_a_day_and_twice_is_once(
    resources: Resources,
) -> None:
    jobs = Rows(JobHarness(resources, [prune]))
    await jobs.set(await jobs.ask(), **ended(timedelta(hours=25)))
    await jobs.set(await jobs.ask(), kind="other", **ended(timedelta(hours=25)))

    assert [(await jobs.harness.run(Prune())).result for _ in range(2)] == [
        {"affected": 1},
        {"affected": 0},
    ]
