"""Keeping the table in order: forgetting old jobs, and taking back what lost workers held."""

import asyncio
from datetime import timedelta
from typing import Any

from app.core.clock import boot_seconds
from app.jobs.context import JobContext
from app.jobs.identity import own_identity
from app.jobs.ledger import Ledger
from app.jobs.rescue import Rescue
from app.jobs.spec import JobArgs, job
from app.jobs.store import secrets, sweep

_MAINTENANCE_KEPT = timedelta(days=1)
_LOOK_SECONDS = 0.5  # between two looks; one later than 1.5 s counts as an outage
_LOOKING_SECONDS = 2.5  # live owners of lapsed leases get 2 s to renew before their job is taken


class Prune(JobArgs, kind="prune", priority=5):
    """Forget jobs that ended longer ago than JOB_RETENTION_DAYS."""


class RescueLost(JobArgs, kind="rescue", priority=5):
    """Take back the jobs of workers that are gone."""


@job(function="prune_jobs", max_attempts=3, maintenance=True)
async def prune(ctx: JobContext, _args: Prune) -> dict[str, Any]:
    """Forget old jobs in batches; maintenance kinds after a day, none before ARQ_KEEP_RESULT.

    A scheduled run that found nothing goes as soon as two later ones are there. Secrets of jobs that have not ended go before they are a day old.

    A second run finds what the first one left: nothing, or what has grown old since. A retry
    counts on from the batches that are already gone.
    """
    settings = ctx.resources.settings
    certain = timedelta(seconds=settings.arq_keep_result)
    while True:
        async with ctx.step(stage="pruning") as step:
            await secrets.forget_old(step.session)
            removed = await sweep.prune(
                step.session,
                keep=max(timedelta(days=settings.job_retention_days), certain),
                maintenance=[
                    kind for kind, known in ctx.queue.registry.items() if known.maintenance
                ],
                keep_maintenance=max(_MAINTENANCE_KEPT, certain),
                keep_idle=certain,
            )
            step.advance(removed)
        if not removed:
            return {"affected": ctx.processed}


@job(function="rescue_jobs", max_attempts=3, maintenance=True)
async def rescue(ctx: JobContext, _args: RescueLost) -> dict[str, Any]:
    """Take back jobs of dead workers of this host, then those whose lease has lapsed.

    What every worker does once a second, for when there is none. A second run finds nothing:
    a job that was taken back is queued or has ended, and holds no lease. A retry counts on.
    """
    resources = ctx.resources
    ledger = Ledger(resources.db, ctx.queue)
    found = Rescue(resources, ctx.queue, ledger, own_identity(), max_jobs=1)
    until = boot_seconds() + _LOOKING_SECONDS
    while True:
        recovered = await found.look()
        async with ctx.step(stage="looking") as step:
            step.advance(recovered)
        if boot_seconds() > until and not recovered:
            return {"affected": ctx.processed}
        await asyncio.sleep(_LOOK_SECONDS)
