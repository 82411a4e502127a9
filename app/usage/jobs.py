"""The clean-up of token reservations that nobody settled."""

from typing import Any

from app.jobs.context import JobContext
from app.jobs.spec import JobArgs, job
from app.resources import open_resources
from app.usage import store


class CleanupReservations(JobArgs, kind="reservation_cleanup", priority=5):
    """Free the tokens that are held for longer than RESERVATION_TTL_SECONDS."""


@job(function="cleanup_stale_reservations", max_attempts=3, maintenance=True)
async def cleanup_reservations(ctx: JobContext, _args: CleanupReservations) -> dict[str, Any]:
    """Free stale reservations in batches, by the database's clock.

    A second run finds what has grown stale since; a retry counts on from the batches that are
    already free.
    """
    ttl_seconds = ctx.resources.settings.reservation_ttl_seconds
    while True:
        async with ctx.step(stage="freeing") as step:
            freed = await store.expire_stale(step.session, ttl_seconds)
            step.advance(freed)
        if not freed:
            return {"affected": ctx.processed}


async def cleanup_stale_reservations() -> int:
    """Do the same at once, without a job, on the database that the environment names.

    Returns:
        How many reservations were freed.
    """
    freed = 0
    async with open_resources() as resources:
        ttl_seconds = resources.settings.reservation_ttl_seconds
        while batch := await resources.db.run(
            lambda session: store.expire_stale(session, ttl_seconds)
        ):
            freed += batch
    return freed
