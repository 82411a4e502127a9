"""`headway maintenance`: what otherwise the schedules and the workers do, here and now."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import nullcontext
from uuid import UUID

import typer

from app.api.raw import open_reader
from app.catalogue import registry
from app.cli.local import require_database
from app.cli.output import JsonFlag, emit, quiet
from app.core import loops
from app.core.db import Database
from app.core.errors import AppError, NotFound
from app.jobs.engines import open_queue
from app.jobs.maintenance import Prune, RescueLost
from app.jobs.queue import JobQueue, Ringer
from app.jobs.spec import JobArgs
from app.jobs.store import read
from app.jobs.store.read import JobView, Reader
from app.jobs.store.sweep import Waiting
from app.jobs.worker import Share, Worker
from app.notes.jobs import SendReminders
from app.resources import open_resources
from app.settings import Settings, load_settings
from app.usage.jobs import CleanupReservations

app = typer.Typer(
    help="Do now, in this process, what otherwise the schedules and the workers do. Each prints "
    "how many it affected, alone on the last line.",
    no_args_is_help=True,
)

_POLL_SECONDS = 0.1


@app.command()
def prune(as_json: JsonFlag = False) -> None:
    """Forget jobs that ended longer ago than JOB_RETENTION_DAYS."""
    _now(Prune(), as_json)


@app.command()
def rescue(as_json: JsonFlag = False) -> None:
    """Take back the jobs of workers that are gone; takes three seconds."""
    _now(RescueLost(), as_json)


@app.command()
def send_reminders(as_json: JsonFlag = False) -> None:
    """Send the reminders that are due."""
    _now(SendReminders(), as_json)


@app.command()
def cleanup_reservations(as_json: JsonFlag = False) -> None:
    """Free tokens that are held for longer than RESERVATION_TTL_SECONDS."""
    _now(CleanupReservations(), as_json)


def _now(args: JobArgs, as_json: bool) -> None:
    settings = load_settings()
    quiet()
    job = loops.run(run_now(settings, args))
    if job.status != "completed":
        raise AppError(f"{job.job_type} is {job.status}: {job.error_message}")
    affected = json.loads(bytes(job.result or b"{}")).get("affected", 0)
    if as_json:
        emit({"job_id": job.job_id, "job_type": job.job_type, "affected": affected})
    else:
        print(affected)


async def run_now(settings: Settings, args: JobArgs) -> JobView:
    """Store the job as a row like any other, run it in this process, and give back how it ended.

    Nobody is rung for the row, so no worker is faster; should one be, its result is waited for.
    """
    require_database(Database(settings.database_url))
    async with open_resources(settings) as resources, open_queue(resources, registry()) as queue:
        silent = JobQueue(queue.registry, settings.queue_routes, Ringer())
        share = Share(
            engine="inline", queues=(queue.queue_of(args.kind),), kinds=(args.kind,), max_jobs=1
        )
        worker = Worker(resources, queue, (), share, _none_gone)
        reader = open_reader(resources.db)
        try:
            async with resources.db.transaction() as session:
                stored = await silent.enqueue(session, args)
            # On shift leases are renewed and what stands in the way is rescued: `rescue` counts that.
            async with nullcontext() if args.kind == RescueLost.kind else worker.on_shift():
                return await _end_of(worker, reader, stored.id)
        finally:
            await reader.close()


async def _end_of(worker: Worker, reader: Reader, job_id: UUID) -> JobView:
    """Run the job, or wait for whoever does; how it ended."""
    while True:
        await _run(worker, job_id)
        found = await read.one(reader, str(job_id), None)
        if found is None:
            raise NotFound("the job was forgotten while it ran")
        if found[1].ended:
            return found[1]
        await asyncio.sleep(_POLL_SECONDS)


async def _run(worker: Worker, job_id: UUID) -> None:
    """Run the job if it is still to be had and due, and before it what waits in its lane."""
    await worker.claim_suspect()
    await worker.claim_rung([job_id])
    running = [each.task for each in worker.runner.attempts.values() if each.task is not None]
    if running:
        await asyncio.wait(running)


async def _none_gone(_waiting: Sequence[Waiting]) -> Sequence[Waiting]:
    return ()
