"""Jobs that lost their worker, among jobs that did not."""

from sqlalchemy import update

from app.jobs.models import BackgroundJob
from app.resources import Resources
from tests.engines.jobs import Single, registry
from tests.harness import JobHarness


async def test_a_lost_job_gets_a_slot_of_a_worker_that_always_has_fresh_ones(
    resources: Resources,
) -> None:
    jobs = JobHarness(resources, registry().values())
    lost = await jobs.ask(Single(key="lost"))
    async with resources.db.transaction() as session:
        row = update(BackgroundJob).where(BackgroundJob.id == lost)
        await session.execute(row.values(lapses=1))
    for number in range(5):
        await jobs.ask(Single(key=f"fresh {number}"))
    worker = jobs.worker(max_jobs=1)

    for _ in range(3):
        await worker.claim()
        await worker.runner.drain(10)

    assert (await jobs.row(lost)).status == "completed"
