"""Nothing stays queued or running for ever: schedules, lost rings, unknown kinds, retention."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from app.core.clock import utcnow
from app.jobs.context import JobContext
from app.jobs.identity import Identity, own_identity
from app.jobs.ledger import Ledger
from app.jobs.models import BackgroundJob
from app.jobs.queue import JobQueue, Ring, Ringer
from app.jobs.rescue import Rescue
from app.jobs.schedule import Clockwork, Schedule
from app.jobs.spec import JobArgs, Registry, job
from app.jobs.store import sweep
from app.resources import Resources
from tests.harness import JobHarness
from tests.waiting import until


class Tick(JobArgs, kind="tick", priority=5):
    pass


class Stranger(JobArgs, kind="stranger"):
    pass


@job(function="tick", maintenance=True)
async def tick(_ctx: JobContext, _args: Tick) -> None: ...


@job(function="stranger")
async def stranger(_ctx: JobContext, _args: Stranger) -> None: ...


EVERY_MINUTE = Schedule("every-minute", tuple(range(60)), Tick)
QUARTERS = Schedule("quarters", (0, 15, 30, 45), Tick)


class Bell:
    """Notes who was rung for."""

    def __init__(self) -> None:
        self.rings: list[Ring] = []

    async def ring(self, rings: Any) -> None:
        self.rings += rings


def moment(hour: int, minute: int, second: int = 0) -> datetime:
    return datetime(2026, 11, 21, hour, minute, second, tzinfo=UTC)


def test_slots_are_the_minutes_of_every_hour() -> None:
    assert QUARTERS.latest_slot(moment(9, 14, 59)) == moment(9, 0)
    assert QUARTERS.latest_slot(moment(9, 15)) == moment(9, 15)
    assert QUARTERS.next_slot(moment(9, 15)) == moment(9, 30)
    assert QUARTERS.next_slot(moment(9, 50)) == moment(10, 0)
    late = Schedule("late", (20,), Tick)
    assert late.latest_slot(moment(9, 5)) == moment(8, 20)
    assert late.next_slot(moment(9, 50)) == moment(10, 20)


async def test_each_slot_has_one_row_however_many_knock(resources: Resources) -> None:
    jobs = JobHarness(resources, [tick])
    clockworks = [Clockwork(resources.db, jobs.queue, [EVERY_MINUTE]) for _ in range(3)]

    for _ in range(3):
        for clockwork in clockworks:
            ahead = await clockwork.knock()
            assert 0 < ahead <= 60

    async with resources.db.reading() as session:
        rows = (await session.execute(select(BackgroundJob.slot))).scalars().all()
    assert len(rows) == len(set(rows)) <= 2  # two when the minute changed meanwhile
    assert all(slot is not None and slot <= utcnow() for slot in rows)


async def test_after_a_pause_only_the_latest_slot_is_made_up(resources: Resources) -> None:
    jobs = JobHarness(resources, [tick])
    clockwork = Clockwork(resources.db, jobs.queue, [EVERY_MINUTE])
    await clockwork.knock()
    async with resources.db.transaction() as session:  # as if the last knock was an hour ago
        rows = (await session.execute(select(BackgroundJob))).scalars().all()
        for row in rows:
            assert row.slot is not None
            row.slot = row.slot - timedelta(hours=1)

    await clockwork.knock()

    async with resources.db.reading() as session:
        assert (await session.execute(select(func.count(BackgroundJob.seq)))).scalar_one() == 2


async def test_rows_whose_ring_is_lost_are_rung_again(resources: Resources) -> None:
    bell = Bell()
    queue = JobQueue(Registry([tick]), {}, Ringer(bell))
    rescue = Rescue(resources, queue, Ledger(resources.db, queue), own_identity(), 10)
    async with resources.db.transaction() as session:
        asked = await queue.enqueue(session, Tick())
        early = datetime(2026, 1, 1, tzinfo=UTC)
        await session.execute(update(BackgroundJob).values(run_after=early, rung_at=early))

    async def all_gone(waiting: Any) -> Any:
        return waiting

    assert await rescue.ring_again(["default"], all_gone) == 1
    assert await rescue.ring_again(["default"], all_gone) == 0  # it has just been rung

    async def twice() -> bool:
        return len(bell.rings) == 2

    await until(twice)
    assert [(ring.job_id, ring.number) for ring in bell.rings] == [(asked.id, 1), (asked.id, 2)]


async def test_a_kind_that_nobody_knows_is_given_up_after_a_day(resources: Resources) -> None:
    asker = JobHarness(resources, [stranger])
    job_id = await asker.ask(Stranger())
    jobs = JobHarness(resources, [tick])
    await jobs.run_all()
    assert (await jobs.row(job_id)).status == "queued"

    rescue = Rescue(resources, jobs.queue, Ledger(resources.db, jobs.queue), own_identity(), 10)
    await rescue.tidy()
    assert (await jobs.row(job_id)).status == "queued"
    async with resources.db.transaction() as session:
        old = utcnow() - timedelta(hours=25)
        await session.execute(update(BackgroundJob).values(created_at=old, run_after=old))
    await rescue.tidy()

    row = await jobs.row(job_id)
    assert (row.status, row.error_type) == ("failed", "unknown_kind")


async def test_old_ended_jobs_are_forgotten_and_the_newest_tick_is_kept(
    resources: Resources,
) -> None:
    jobs = JobHarness(resources, [tick, stranger])
    await Clockwork(resources.db, jobs.queue, [EVERY_MINUTE]).knock()
    kept = await jobs.ask(Stranger())
    await jobs.run_all()
    async with resources.db.transaction() as session:
        two_days = utcnow() - timedelta(days=2)
        await session.execute(update(BackgroundJob).values(completed_at=two_days))
    await jobs.run(Tick())
    first = await jobs.ask(Tick())
    await jobs.run_all()
    async with resources.db.transaction() as session:
        await session.execute(
            update(BackgroundJob).where(BackgroundJob.id == first).values(completed_at=two_days)
        )

    async with resources.db.transaction() as session:
        day, month = timedelta(days=1), timedelta(days=30)
        kept_for = {"keep": month, "keep_maintenance": day, "keep_idle": day}
        count = await sweep.prune(session, maintenance=["tick"], **kept_for)

    assert count == 1
    assert (await jobs.row(kept)).status == "completed"


async def test_one_process_at_a_time_has_the_duty(resources: Resources) -> None:
    async def take(who: str) -> bool:
        async with resources.db.transaction() as session:
            return await sweep.take_duty(session, "sweep", who, 60)

    assert [await take("a"), await take("b"), await take("a")] == [True, False, True]


def test_a_live_process_is_never_gone() -> None:
    me = own_identity()
    assert me.prefix
    assert not me.is_gone(str(me))
    assert me.is_gone(str(Identity(me.host, me.boot, me.namespace, me.pid, "1")))
    assert me.is_gone(str(Identity(me.host, me.boot, me.namespace, 2**22 - 3, "1")))
    assert not me.is_gone(str(Identity("elsewhere", me.boot, me.namespace, 2**22 - 3, "1")))
    assert not me.is_gone(str(Identity(me.host, "other-boot", me.namespace, 2**22 - 3, "1")))


async def test_the_queues_that_hold_work_are_found(resources: Resources) -> None:
    routed = JobQueue(Registry([tick, stranger]), {"tick": "b", "stranger": "a"}, Ringer())
    async with resources.db.transaction() as session:
        assert await sweep.queues_in_use(session) == []
        for _ in range(3):
            await routed.enqueue(session, Tick())
            await routed.enqueue(session, Stranger())
        assert await sweep.queues_in_use(session) == ["a", "b"]
