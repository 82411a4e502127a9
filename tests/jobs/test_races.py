"""What two do to one job at the same moment, on both databases."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.jobs.context import JobContext
from app.jobs.engines.database import serve
from app.jobs.engines.inline import run_all
from app.jobs.failures import Failure
from app.jobs.ledger import Ledger
from app.jobs.models import BackgroundJob
from app.jobs.runner import Attempt
from app.jobs.spec import JobArgs, job
from app.jobs.store import sweep
from app.jobs.store.claim import Claim, Due, Wanted, claim
from app.jobs.worker import Share, Worker
from app.resources import Resources
from tests.harness import JobHarness, no_rings_gone
from tests.waiting import until


class Rest(JobArgs, kind="rest"):
    pass


@job(function="rest", max_attempts=3)
async def rest(_ctx: JobContext, _args: Rest) -> None:
    """Wait to be stopped; a second run does the same."""
    await asyncio.Event().wait()


class Laned(JobArgs, kind="laned"):
    def lane(self) -> str:
        return "a"


@job(function="laned")
async def laned(_ctx: JobContext, _args: Laned) -> None: ...


async def claimed(jobs: JobHarness, count: int) -> list[Claim]:
    """So many jobs in the hands of a worker that does nothing with them."""
    for _ in range(count):
        await jobs.ask(Rest())
    wanted = Wanted(["default"], ["rest"], "somebody", 60.0)
    ledger = Ledger(jobs.resources.db, jobs.queue)
    return (await claim(jobs.resources.db, wanted, Due(count), ledger.started)).claims


async def cancel(jobs: JobHarness, job_id: UUID) -> None:
    db = jobs.resources.db
    await db.run(lambda session: Ledger(db, jobs.queue).cancel(session, job_id, None))


Leave = Callable[[Ledger, Claim], Coroutine[Any, Any, bool]]
LEAVES: dict[str, Leave] = {
    "release": lambda ledger, held: ledger.release(held),
    "fail": lambda ledger, held: ledger.fail(held, Failure("no", "No."), retry_in=0.0),
}


@pytest.mark.parametrize("how", LEAVES)
async def test_a_request_to_stop_is_never_lost_beside_a_worker_that_lets_the_job_go(
    resources: Resources, how: str
) -> None:
    """Whoever comes first: the job is cancelled, and never queued again."""
    jobs = JobHarness(resources, [rest])
    ledger = Ledger(resources.db, jobs.queue, "somebody")
    held = await claimed(jobs, 60)

    for few in (held[n : n + 4] for n in range(0, len(held), 4)):
        leaving = (LEAVES[how](ledger, each) for each in few)
        await asyncio.gather(*leaving, *(cancel(jobs, each.id) for each in few))

    rows = [await jobs.row(each.id) for each in held]
    assert {row.status for row in rows} == {"cancelled"}


async def test_a_worker_that_claims_its_own_lost_job_again_runs_it_once(
    resources: Resources,
) -> None:
    """It may claim what it lost before it has noticed, as after a long sleep of the machine."""
    jobs = JobHarness(resources, [rest])
    job_id = await jobs.ask(Rest())
    worker = jobs.worker()
    await worker.claim()
    first = worker.runner.attempts[job_id]
    await recover(jobs, worker)

    async def again() -> Attempt | None:
        await worker.claim_suspect()
        newest = worker.runner.attempts[job_id]
        return None if newest is first else newest

    second = await until(again)
    assert first.task is not None
    assert second.task is not None
    await asyncio.wait([first.task, second.task], timeout=1)

    assert (first.claim.attempt, second.claim.attempt) == (1, 2)
    assert first.task.done()
    assert not second.task.done()
    assert worker.runner.attempts == {job_id: second}  # so its lease is renewed
    second.task.cancel()


class SlowToHear(Worker):
    """By the time it hears what it has claimed, that has ended."""

    async def claim(self) -> bool:
        again = await super().claim()
        await self.runner.drain(5.0)
        return again


@pytest.mark.parametrize("burst", [False, True])
async def test_nobody_stops_while_a_lane_goes_on(resources: Resources, burst: bool) -> None:
    """An end during a claim may free a lane that the claim saw as busy."""
    jobs = JobHarness(resources, [laned])
    asked = [await jobs.ask(Laned()) for _ in range(4)]
    share = Share(engine="inline", queues=("default",))
    worker = SlowToHear(resources, jobs.queue, (), share, no_rings_gone)

    if burst:
        await serve(worker, asyncio.Event(), poll=0.01, burst=True)
    else:
        await run_all(worker)

    assert {(await jobs.row(job_id)).status for job_id in asked} == {"completed"}


async def recover(jobs: JobHarness, worker: Worker) -> None:
    """Take the only job of `worker` back, as the sweep of another would, and let it be due."""
    db = jobs.resources.db
    async with db.reading() as session:
        (lost,) = await sweep.jobs_of(session, [worker.id])
    assert await Ledger(db, jobs.queue).recover(lost, must_have_lapsed=False)
    async with db.transaction() as session:
        await session.execute(update(BackgroundJob).values(run_after=BackgroundJob.created_at))
