"""One body for every engine, on both databases: what a job is promised, whoever runs it."""

from collections import defaultdict
from datetime import timedelta
from itertools import pairwise

import pytest

from app.core.clock import utcnow
from tests.engines.conftest import Engine
from tests.engines.jobs import Await, Break, Count, Laned, Single, Urgent


async def test_a_job_completes_with_its_result_and_trail(engine: Engine) -> None:
    job_id = await engine.ask(Count(items=3))

    row = await engine.ended(job_id)

    assert (row.status, row.progress_percent) == ("completed", 100)
    assert row.result == {"counted": 3, "attempt": 1}
    assert await engine.events(job_id) == ["queued", "started", "progress_stage", "completed"]
    assert row.lease_token is None
    assert row.completed_at is not None
    assert row.started_at is not None
    assert row.created_at <= row.started_at <= row.completed_at


async def test_a_failure_is_in_the_row(engine: Engine) -> None:
    job_id = await engine.ask(Break())

    row = await engine.ended(job_id)

    assert (row.status, row.error_type, row.error_message) == ("failed", "broken", "it is broken")
    assert row.attempt == 1
    assert (await engine.events(job_id))[-1] == "failed"


async def test_a_passing_failure_is_retried_from_the_checkpoint(engine: Engine) -> None:
    job_id = await engine.ask(Count(items=4, fail_first=True))

    row = await engine.ended(job_id)

    assert (row.status, row.attempt, row.processed_items) == ("completed", 2, 4)
    assert "retry_scheduled" in await engine.events(job_id)


async def test_a_request_that_rolls_back_asks_for_nothing(engine: Engine) -> None:
    asked = None
    try:
        async with engine.resources.db.transaction() as session:
            asked = await engine.queue.enqueue(session, Count(items=1))
            raise RuntimeError("the caller's transaction fails")
    except RuntimeError:
        pass
    after = await engine.ask(Count(items=1))
    await engine.ended(after)

    assert asked is not None
    assert await engine.events(asked.id) == []


async def test_a_deferred_job_waits_for_its_time(engine: Engine) -> None:
    due = utcnow() + timedelta(seconds=1)
    job_id = await engine.ask(Count(items=1), run_after=due)

    row = await engine.ended(job_id)

    assert row.started_at is not None
    assert row.started_at >= due


async def test_an_equal_job_is_found_while_one_is_active(engine: Engine) -> None:
    later = utcnow() + timedelta(seconds=0.5)
    first = await engine.ask(Single(key="a"), run_after=later)
    second = await engine.ask(Single(key="a"))
    other = await engine.ask(Single(key="b"))

    assert first == second != other
    await engine.ended(first)
    assert await engine.ask(Single(key="a")) != first


async def test_lanes_run_one_at_a_time_and_in_order(engine: Engine) -> None:
    asked = [await engine.ask(Laned(name=f"lane-{n % 3}", number=n)) for n in range(18)]

    rows = [await engine.ended(job_id) for job_id in asked]

    by_lane = defaultdict(list)
    for row in rows:
        by_lane[row.lane].append(row)
    for lane in by_lane.values():
        for before, after in pairwise(lane):
            assert before.completed_at is not None
            assert after.started_at is not None
            assert after.started_at >= before.completed_at


@pytest.mark.parametrize("max_jobs", [1])
async def test_priority_goes_first(engine: Engine, max_jobs: int) -> None:
    due = utcnow() + timedelta(seconds=2)
    low = [await engine.ask(Await(seconds=0.01), run_after=due) for _ in range(6)]
    high = await engine.ask(Urgent(), run_after=due)

    urgent = await engine.ended(high)
    others = [await engine.ended(job_id) for job_id in low]

    assert urgent.started_at is not None
    assert all(row.started_at and row.started_at > urgent.started_at for row in others)
