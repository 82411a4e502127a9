"""What can happen to a running job, on both databases, with the worker in this process."""

import asyncio
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict, NotFound
from app.jobs.context import JobContext, LeaseLost
from app.jobs.ledger import Ledger
from app.jobs.models import BackgroundJob
from app.jobs.spec import Change, JobArgs, Registry, job
from app.jobs.store import claim as claims
from app.jobs.store import people
from app.jobs.store.claim_sql import COLUMNS
from app.resources import Resources
from tests.harness import JobHarness
from tests.waiting import until


class Wait(JobArgs, kind="wait"):
    seconds: float = 30.0


class Progress(JobArgs, kind="progress"):
    total: int
    done: int
    failed: int = 0


class Restart(JobArgs, kind="restart"):
    pass


class LastStep(JobArgs, kind="last_step"):
    cancel: bool = False
    fail: bool = False


class Hooked(JobArgs, kind="hooked"):
    fail: bool = False


began: list[UUID] = []
changes: list[tuple[str, str]] = []


@job(function="wait", max_attempts=3)
async def wait(ctx: JobContext, args: Wait) -> None:
    began.append(ctx.job_id)
    await asyncio.sleep(args.seconds)


@job(function="progress", max_attempts=2)
async def progress(ctx: JobContext, args: Progress) -> None:
    async with ctx.step(total=args.total) as step:
        step.advance(args.done, failed=args.failed, cursor=args.done)
    await asyncio.sleep(30)


@job(function="restart", max_attempts=2)
async def restart(ctx: JobContext, _args: Restart) -> None:
    async with ctx.step(total=4, stage="first") as step:
        step.advance(3)
    async with ctx.step(total=4, restart=True) as step:
        step.advance(1)
    await asyncio.sleep(30)


async def remember(_session: AsyncSession, change: Change) -> None:
    changes.append((change.event, change.status.value))


@job(function="hooked", on_change=remember)
async def hooked(_ctx: JobContext, args: Hooked) -> None:
    if args.fail:
        raise Conflict("no")


@job(function="last_step", max_attempts=3, on_change=remember)
async def last_step(ctx: JobContext, args: LastStep) -> None:
    async with ctx.step(total=4) as step:
        step.advance(3)
        step.end({"sum": 3})
        if args.cancel:
            values = {"cancel_requested": True}
            await step.session.execute(update(BackgroundJob).values(**values))
    if args.fail:
        raise Conflict("too late to say so")


class Spoilt(JobArgs, kind="spoilt"):
    pass


async def fail_at_the_start(_session: AsyncSession, change: Change) -> None:
    if change.event == "started":
        raise ZeroDivisionError


@job(function="spoilt", on_change=fail_at_the_start)
async def spoilt(_ctx: JobContext, _args: Spoilt) -> None: ...


JOBS = (wait, progress, restart, hooked, last_step)


async def running(jobs: JobHarness, job_id: UUID) -> BackgroundJob:
    async def look() -> BackgroundJob | None:
        row = await jobs.row(job_id)
        return row if row.status == "running" else None

    return await until(look)


async def reached(jobs: JobHarness, job_id: UUID, status: str) -> BackgroundJob:
    async def look() -> BackgroundJob | None:
        row = await jobs.row(job_id)
        return row if row.status == status else None

    return await until(look)


async def test_a_hundred_of_a_hundred_and_fifty_is_67_percent(resources: Resources) -> None:
    jobs = JobHarness(resources, JOBS)
    job_id = await jobs.ask(Progress(total=150, done=99, failed=1))
    async with jobs.on_shift() as worker:
        await worker.claim()

        async def stepped() -> BackgroundJob | None:
            row = await jobs.row(job_id)
            return row if row.processed_items else None

        row = await until(stepped)

    assert (row.progress_percent, row.processed_items, row.failed_items) == (67, 99, 1)
    assert row.total_items == 150


async def test_progress_falls_only_when_started_over_on_purpose(resources: Resources) -> None:
    jobs = JobHarness(resources, JOBS)
    job_id = await jobs.ask(Restart())
    async with jobs.on_shift() as worker:
        await worker.claim()

        async def restarted() -> BackgroundJob | None:
            row = await jobs.row(job_id)
            return row if row.processed_items == 1 else None

        row = await until(restarted)

    assert row.progress_percent == 25
    assert (await jobs.events(job_id)).count("progress_stage") == 2


async def test_a_queued_job_is_cancelled_at_once(resources: Resources) -> None:
    jobs = JobHarness(resources, JOBS)
    job_id = await jobs.ask(Wait())

    async with resources.db.transaction() as session:
        await Ledger(resources.db, jobs.queue).cancel(session, job_id, None)

    assert (await jobs.row(job_id)).status == "cancelled"
    async with resources.db.transaction() as session:
        with pytest.raises(Conflict):
            await Ledger(resources.db, jobs.queue).cancel(session, job_id, None)


async def test_a_running_job_is_cancelled_in_the_middle_of_a_long_await(
    resources: Resources,
) -> None:
    jobs = JobHarness(resources, JOBS)
    job_id = await jobs.ask(Wait())
    async with jobs.on_shift() as worker:
        await worker.claim()
        await running(jobs, job_id)
        asked = time.monotonic()
        async with resources.db.transaction() as session:
            await Ledger(resources.db, jobs.queue).cancel(session, job_id, None)
        row = await reached(jobs, job_id, "cancelled")

    assert time.monotonic() - asked < 2.0
    assert row.error_type == "cancelled"
    events = await jobs.events(job_id)
    assert events[-2:] == ["cancel_requested", "cancelled"]


async def test_a_stopping_worker_hands_back_without_using_an_attempt(resources: Resources) -> None:
    jobs = JobHarness(resources, JOBS)
    job_id = await jobs.ask(Progress(total=10, done=4))
    async with jobs.on_shift() as worker:
        await worker.claim()

        async def stepped() -> BackgroundJob | None:
            row = await jobs.row(job_id)
            return row if row.processed_items else None

        await until(stepped)

    row = await jobs.row(job_id)
    assert (row.status, row.attempt, row.cursor, row.processed_items) == ("queued", 0, 4, 4)
    assert (await jobs.events(job_id))[-1] == "released"


async def test_a_handler_may_end_its_job_in_its_last_step(resources: Resources) -> None:
    """What it wrote, the end and the hook's part commit together; what comes later changes nothing."""
    jobs = JobHarness(resources, JOBS)
    changes.clear()

    row = await jobs.run(LastStep(fail=True))

    assert (row.status, row.progress_percent, row.processed_items) == ("completed", 100, 3)
    assert (row.result, row.error_type, row.attempt) == ({"sum": 3}, None, 1)
    assert row.completed_at is not None
    assert await jobs.events(row.id) == ["queued", "started", "completed"]
    assert changes == [("started", "running"), ("completed", "completed")]


async def test_a_job_that_was_asked_to_stop_does_not_end_well_in_its_last_step(
    resources: Resources,
) -> None:
    jobs = JobHarness(resources, JOBS)

    row = await jobs.run(LastStep(cancel=True))

    assert (row.status, row.result, row.processed_items) == ("cancelled", None, 3)


async def test_a_lapsed_lease_is_recovered_and_its_owner_fenced(resources: Resources) -> None:
    jobs = JobHarness(resources, JOBS)
    job_id = await jobs.ask(Wait())
    worker = jobs.worker()  # not on shift: nobody renews its lease
    await worker.claim()
    row = await running(jobs, job_id)
    ledger = Ledger(resources.db, jobs.queue)
    ctx = JobContext(claim_of(row), resources, jobs.queue, ledger, 15)
    async with resources.db.transaction() as session:
        past = BackgroundJob.started_at if not resources.db.is_sqlite else 0.0
        await session.execute(update(BackgroundJob).values(lease_expires_at=past))

    async with jobs.on_shift():
        row = await reached(jobs, job_id, "queued")

    assert (row.lapses, row.attempt, row.max_attempts) == (1, 1, 4)
    assert (await jobs.events(job_id))[-1] == "recovered"
    with pytest.raises(LeaseLost):
        async with ctx.step(total=10) as step:
            step.advance(5)
    assert (await jobs.row(job_id)).processed_items == 0
    for attempt in worker.runner.attempts.values():
        assert attempt.task is not None
        attempt.task.cancel()


async def test_hooks_hear_every_change(resources: Resources) -> None:
    changes.clear()
    jobs = JobHarness(resources, JOBS)

    await jobs.run(Hooked())
    row = await jobs.run(Hooked(fail=True))
    async with resources.db.transaction() as session:
        await Ledger(resources.db, jobs.queue).retry(session, row.id, None)

    assert changes == [
        ("started", "running"), ("completed", "completed"),
        ("started", "running"), ("failed", "failed"), ("queued", "queued"),
    ]  # fmt: skip


async def test_a_hook_that_fails_holds_nobody_up(resources: Resources) -> None:
    jobs = JobHarness(resources, (*JOBS, spoilt))
    spoiled = await jobs.ask(Spoilt())
    other = await jobs.ask(Hooked())

    await jobs.run_all()

    assert (await jobs.row(other)).status == "completed"
    row = await jobs.row(spoiled)
    assert (row.status, row.error_type) == ("failed", "unexpected")


async def test_a_failed_job_is_tried_again_by_a_person(resources: Resources) -> None:
    jobs = JobHarness(resources, JOBS)
    row = await jobs.run(Hooked(fail=True))
    ledger = Ledger(resources.db, jobs.queue)

    async with resources.db.transaction() as session:
        await ledger.retry(session, row.id, None)

    again = await jobs.row(row.id)
    assert (again.status, again.error_type, again.completed_at) == ("queued", None, None)
    assert again.max_attempts == 2
    assert again.version > row.version
    async with resources.db.transaction() as session:
        with pytest.raises(Conflict):
            await ledger.retry(session, row.id, None)


async def test_anothers_job_does_not_exist(resources: Resources) -> None:
    jobs = JobHarness(resources, JOBS)
    job_id = await jobs.ask(Wait(), owner_id=uuid4())

    async with resources.db.transaction() as session:
        with pytest.raises(NotFound):
            await people.cancel(session, job_id, uuid4())


def claim_of(row: BackgroundJob) -> Any:
    names = COLUMNS
    return claims.Claim(*(getattr(row, name) for name in names))


def test_a_kind_given_twice_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="share"):
        Registry([wait, wait])
