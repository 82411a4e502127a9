"""One job's life, on both databases."""

import asyncio
from typing import Any

import pytest

from app.core.errors import Unavailable
from app.jobs.context import JobContext
from app.jobs.spec import JobArgs, job
from app.resources import Resources
from tests.harness import JobHarness


class Count(JobArgs, kind="count"):
    items: int
    fail_at: int | None = None


@job(function="count", max_attempts=3)
async def count(ctx: JobContext, args: Count) -> dict[str, Any]:
    for number in range(ctx.cursor or 0, args.items):
        if number == args.fail_at and ctx.attempt == 1:
            raise Unavailable("not now", retry_after=0.01)
        async with ctx.step(total=args.items, stage="counting") as step:
            step.advance(1, cursor=number + 1)
    return {"counted": args.items}


async def test_a_job_runs_to_completed(resources: Resources) -> None:
    jobs = JobHarness(resources, [count])

    row = await jobs.run(Count(items=3))

    assert (row.status, row.progress_percent, row.result) == ("completed", 100, {"counted": 3})
    assert (row.processed_items, row.total_items, row.attempt) == (3, 3, 1)
    assert await jobs.events(row.id) == ["queued", "started", "progress_stage", "completed"]


async def test_a_passing_failure_is_tried_again_from_the_checkpoint(resources: Resources) -> None:
    jobs = JobHarness(resources, [count])

    row = await jobs.run(Count(items=4, fail_at=2))

    assert (row.status, row.attempt, row.processed_items, row.cursor) == ("queued", 1, 2, 2)
    assert (row.error_type, row.progress_percent) == ("unavailable", 50)

    await asyncio.sleep(1.1)
    await jobs.run_all()
    row = await jobs.row(row.id)

    assert (row.status, row.attempt, row.processed_items) == ("completed", 2, 4)


@pytest.mark.parametrize("fail_at", [None])
async def test_lanes_are_first_in_first_out(resources: Resources, fail_at: None) -> None:
    ran: list[int] = []

    class Laned(JobArgs, kind="laned"):
        number: int

        def lane(self) -> str:
            return f"lane:{self.number % 2}"

    @job(function="laned")
    async def laned(ctx: JobContext, args: Laned) -> None:
        ran.append(args.number)

    jobs = JobHarness(resources, [laned])
    for number in range(8):
        await jobs.ask(Laned(number=number))
    await jobs.run_all()

    assert [n for n in ran if n % 2] == [1, 3, 5, 7]
    assert [n for n in ran if not n % 2] == [0, 2, 4, 6]
