"""What a worker whose event loop is blocked still does, from a thread with a loop of its own."""

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import text

from app.core.db import PROCESS, Database
from app.jobs.ledger import Ledger
from app.jobs.queue import JobQueue, Ringer
from app.jobs.states import RELEASE
from app.jobs.store.moves import attempt_not_consumed, fenced, from_now, move
from app.jobs.store.sweep import Lost, jobs_of

if TYPE_CHECKING:
    from app.settings import Settings


def charge_and_release(
    settings: "Settings", queue: JobQueue, worker_id: str, guilty: str
) -> list[str]:
    """Charge the job `guilty` a lapse and release the worker's other jobs uncharged.

    The bells belong to the blocked loop, so nobody is rung: other workers find the rows.

    Returns:
        A line for the log per job.
    """
    return asyncio.run(_charge_and_release(settings, queue, worker_id, guilty))


async def _charge_and_release(
    settings: "Settings", queue: JobQueue, worker_id: str, guilty: str
) -> list[str]:
    db = Database(settings.database_url, application="headway-last-words")
    silent = JobQueue(queue.registry, settings.queue_routes, Ringer())
    ledger = Ledger(db, silent, worker_id)
    lines = []
    try:
        await _let_go(db)
        async with db.reading() as session:
            held = await jobs_of(session, [worker_id])
        for job in held:
            known = queue.registry.get(job.kind)
            if known is not None and not known.releasable:
                continue  # the sweep takes it once this process and the job's own are gone
            if str(job.id) == guilty:
                await ledger.recover(job, must_have_lapsed=False)
                lines.append(f"job {job.id} charged a lapse: it held the event loop")
            else:
                await _release(db, ledger, job, worker_id)
                lines.append(f"job {job.id} released")
    finally:
        await db.close()
    return lines


async def _let_go(db: Database) -> None:
    """End this process's other connections: a transaction they hold open may lock our rows."""
    if db.is_sqlite:
        return  # its lock goes with the process, and the sweep of the next one does the rest
    async with db.transaction() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = :process AND usename = current_user"
            ),
            {"process": PROCESS},
        )


async def _release(db: Database, ledger: Ledger, job: Lost, worker_id: str) -> None:
    if job.lease_token is None:
        return
    async with db.transaction() as session:
        values = {
            "attempt": attempt_not_consumed(),
            "run_after": from_now(session, 0),
            "worker_id": None,
        }
        conditions = fenced(job.id, job.lease_token)
        data = {"reason": "event_loop_blocked"}
        moved = await move(
            session, RELEASE, *conditions, worker=worker_id, data=data, values=values
        )
        await ledger.settle(session, moved)
