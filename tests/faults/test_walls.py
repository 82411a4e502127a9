"""A wall of jobs that cannot run delays nobody. Figures: `python -m benchmarks.fresh`."""

import asyncio
import time
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.core.clock import utcnow
from app.jobs.ledger import Ledger
from app.jobs.models import BackgroundJob
from app.jobs.spec import JobArgs
from app.jobs.store.claim import Due, Wanted, claim
from tests.engines.jobs import Await, Laned
from tests.faults.conftest import Field
from tests.faults.jobs import registry
from tests.harness import JobHarness

pytestmark = pytest.mark.fault

WALL = 1000
LANES = WALL + 1  # a busy one with a thousand waiting in it, and a thousand with one each


async def build(field: Field) -> None:
    """A busy lane, a thousand busy lanes, a thousand deferred jobs; all of them rung for."""
    later = utcnow() + timedelta(hours=1)
    async with field.resources.db.transaction() as session:
        for n in range(WALL):
            for name in ("busy", f"lane-{n:04}", f"lane-{n:04}"):
                await field.queue.enqueue(session, Laned(name=name, number=n))
            await field.queue.enqueue(session, Await(seconds=0), run_after=later)
        await field.queue.enqueue(session, Laned(name="busy", number=WALL))
    await hold_heads(field)


async def hold_heads(field: Field) -> None:
    """Let a worker on another host run the head of each lane, on a lease that is long."""
    db = field.resources.db
    wanted = Wanted(["default"], ["laned"], "elsewhere:boot:0:1:1", 600.0)
    tell, held = Ledger(db, field.queue).started, 0
    async with asyncio.timeout(60):
        while held < LANES:
            held += len((await claim(db, wanted, Due(LANES), tell)).claims)


async def counts(field: Field) -> dict[str, int]:
    status, number = BackgroundJob.status, func.count().label("number")
    async with field.resources.db.reading() as session:
        found = await session.execute(select(status, number).group_by(status))
        return {row.status: row.number for row in found}


async def delays_nobody(field: Field, engine: str) -> None:
    """Ask an idle worker beside the wall for fresh jobs, free and in lanes of their own."""
    await build(field)
    field.worker(engine)
    await field.stands(await field.ask(Await(seconds=0)), "completed")
    wall = {"running": LANES, "queued": 3 * WALL}

    fresh: list[JobArgs] = [Await(seconds=0), Laned(name="zz-behind-all", number=0)]
    for args in fresh * 5:
        asked = time.monotonic()
        row = await field.stands(await field.ask(args), "completed", "failed")
        assert time.monotonic() - asked < 1.0
        assert (row.status, row.attempt) == ("completed", 1)

    assert await counts(field) == wall | {"completed": 11}


async def test_a_wall_delays_no_fresh_job_on_the_database_engine(field: Field) -> None:
    await delays_nobody(field, "database")


async def test_a_wall_of_rows_and_rings_delays_no_fresh_job_on_arq(arq_field: Field) -> None:
    await delays_nobody(arq_field, "arq")


async def test_a_ring_for_the_last_of_a_thousand_lanes_is_answered_at_once(field: Field) -> None:
    await build(field)
    worker = JobHarness(field.resources, registry().values()).worker()
    job_id = await field.ask(Laned(name="zz-behind-all", number=0))

    await worker.answer([job_id])  # a claim looks at 256 lanes only, and begins with the first

    await worker.runner.drain(5.0)
    assert (await field.row(job_id)).status == "completed"
