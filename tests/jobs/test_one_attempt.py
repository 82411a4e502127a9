"""Kinds with one attempt, whose work lives outside the database: builds and deployments."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.jobs.engines.inline import run_all
from app.jobs.last_words import charge_and_release
from app.jobs.ledger import Ledger
from app.jobs.models import BackgroundJob
from app.jobs.spec import Change, JobArgs, Leftover, job
from app.jobs.store import steps
from app.resources import Resources
from tests.conftest import MakeSettings
from tests.harness import JobHarness
from tests.waiting import until


class Once(JobArgs, kind="once"):
    """Work for so many seconds, or fail in a way that usually passes."""

    seconds: float = 0.0
    fail: bool = False

    def lane(self) -> str:
        return "once"


_quiet: dict[UUID, Mapping[str, Any] | None] = {}
_told: list[Change] = []


async def inspect(_resources: Resources, left: Leftover) -> Mapping[str, Any] | None:
    return _quiet.get(left.job_id)


async def note(_session: AsyncSession, change: Change) -> None:
    _told.append(change)


@job(
    function="once",
    on_change=note,
    on_cancel_request=note,
    on_lost=inspect,
    releasable=False,
)
async def once(_ctx: Any, args: Once) -> None:
    """Wait; a second run waits again."""
    await asyncio.sleep(args.seconds)
    if args.fail:
        raise OSError("it would pass")


@pytest.fixture(autouse=True)
def _forget() -> None:
    _quiet.clear()
    _told.clear()


@pytest.fixture
def jobs(resources: Resources) -> JobHarness:
    return JobHarness(resources, [once])


async def test_a_failure_that_would_pass_is_tried_again_by_a_person_only(jobs: JobHarness) -> None:
    job_id = (await jobs.run(Once(fail=True))).id
    assert (await jobs.row(job_id)).status == "failed"

    ledger = Ledger(jobs.resources.db, jobs.queue)
    for attempt in (2, 3):
        await jobs.resources.db.run(lambda session: ledger.retry(session, job_id, None))
        assert (await jobs.row(job_id)).max_attempts == attempt
        await jobs.run_all()
        row = await jobs.row(job_id)
        assert (row.status, row.attempt, row.error_type) == ("failed", attempt, "unavailable")


async def test_one_that_was_cancelled_while_it_waited_still_has_one_attempt(
    jobs: JobHarness,
) -> None:
    job_id = await jobs.ask(Once(fail=True))
    ledger = Ledger(jobs.resources.db, jobs.queue)
    await jobs.resources.db.run(lambda session: ledger.cancel(session, job_id, None))
    await jobs.resources.db.run(lambda session: ledger.retry(session, job_id, None))

    await jobs.run_all()

    row = await jobs.row(job_id)
    assert (row.status, row.attempt, row.max_attempts) == ("failed", 1, 2)


@pytest.mark.parametrize(("seconds", "status"), [(0.6, "completed"), (60.0, "queued")])
async def test_a_worker_that_stops_lets_it_finish_within_the_grace_or_hands_it_back(
    make_settings: MakeSettings, resources: Resources, seconds: float, status: str
) -> None:
    lent = replace(resources, settings=make_settings(shutdown_grace_seconds=1.5))
    jobs = JobHarness(lent, [once])
    job_id = await jobs.ask(Once(seconds=seconds))

    async with jobs.on_shift() as worker:
        await worker.claim()
        await until(lambda: _running(jobs, job_id))
        stopped = time.monotonic()

    row = await jobs.row(job_id)
    assert (row.status, row.attempt) == (status, 1 if status == "completed" else 0)
    assert time.monotonic() - stopped < 4
    assert _told[-1].event == ("completed" if status == "completed" else "released")


async def test_a_lost_one_ends_only_when_nothing_of_it_is_at_work_and_tells_what_was_found(
    jobs: JobHarness,
) -> None:
    job_id, waiting = await jobs.ask(Once(seconds=60)), await jobs.ask(Once())
    dead = jobs.worker()
    await dead.claim()
    await until(lambda: _running(jobs, job_id))
    for attempt in dead.runner.attempts.values():
        assert attempt.task is not None
        attempt.task.cancel()  # as a killed process: nothing is written
    await dead.runner.drain(5)
    async with jobs.resources.db.transaction() as session:
        lapsed = steps.lease(session, -1.0)
        await session.execute(
            update(BackgroundJob).where(BackgroundJob.id == job_id).values(**lapsed)
        )

    async with jobs.on_shift() as rescuer:
        rescuer._rescue._trouble_until = 0.0
        assert await rescuer._rescue.look() == 0  # something of it still runs
        assert (await jobs.row(job_id)).status == "running"
        await rescuer.claim()
        assert (await jobs.row(waiting)).status == "queued"  # the lane is not free

        _quiet[job_id] = {"live": "3-abc"}
        await until(lambda: _stands(jobs, job_id, "failed"))
        await run_all(rescuer)

    row = await jobs.row(job_id)
    assert (row.status, row.error_type) == ("failed", "worker_lost")
    lost = next(change for change in _told if change.error_type == "worker_lost")
    assert (lost.facts, lost.worker) == ({"live": "3-abc"}, dead.id)
    assert (await jobs.row(waiting)).status == "completed"


async def test_a_request_to_stop_a_running_one_is_told(jobs: JobHarness) -> None:
    job_id = await jobs.ask(Once(seconds=60))
    ledger = Ledger(jobs.resources.db, jobs.queue)

    async with jobs.on_shift() as worker:
        await worker.claim()
        await until(lambda: _running(jobs, job_id))
        await jobs.resources.db.run(lambda session: ledger.cancel(session, job_id, None))
        await jobs.resources.db.run(lambda session: ledger.cancel(session, job_id, None))
        await until(lambda: _stands(jobs, job_id, "cancelled"))

    assert [change.event for change in _told] == ["started", "cancel_requested", "cancelled"]


async def test_a_blocked_worker_leaves_it_to_the_sweep(jobs: JobHarness) -> None:
    """Its process still lives while the last words are written, and so does what it started."""
    job_id = await jobs.ask(Once(seconds=60))

    async with jobs.on_shift() as worker:
        await worker.claim()
        await until(lambda: _running(jobs, job_id))
        lines = await asyncio.to_thread(
            charge_and_release, jobs.resources.settings, jobs.queue, worker.id, ""
        )
        assert lines == []
        assert (await jobs.row(job_id)).status == "running"
        async with jobs.resources.db.transaction() as session:
            await ledger_cancel(jobs, session, job_id)
        await until(lambda: _stands(jobs, job_id, "cancelled"))


async def ledger_cancel(jobs: JobHarness, session: AsyncSession, job_id: UUID) -> None:
    await Ledger(jobs.resources.db, jobs.queue).cancel(session, job_id, None)


async def _running(jobs: JobHarness, job_id: UUID) -> bool:
    return await _stands(jobs, job_id, "running")


async def _stands(jobs: JobHarness, job_id: UUID, status: str) -> bool:
    return (await jobs.row(job_id)).status == status
