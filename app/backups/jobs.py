"""The jobs of backups: index one, and clear away what is left of a deleted one."""

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.backups import generations, store
from app.backups.indexing import DOMAIN, MessagesRun
from app.backups.models import Backup
from app.backups.paths import real_backup
from app.core.columns import now
from app.core.errors import Invalid, NotFound, Unavailable
from app.core.processes import ChildDied, ChildPool, Limits, Refused
from app.jobs.context import JobContext
from app.jobs.spec import Change, JobArgs, job
from app.jobs.states import RETRY, JobStatus

LIMITS = Limits(
    memory_bytes=1024 * 2**20,
    cpu_seconds=3600,
    seconds_per_frame=180,  # the first frame of ten million messages takes a minute
    seconds_in_all=3 * 3600,
)


class IndexBackup(JobArgs, kind="backup_index"):
    """Read what a backup holds into the tables."""

    backup_id: UUID

    def lane(self) -> str:
        """One at a time for each backup: two would write the same generations."""
        return f"backup:{self.backup_id}"


class PurgeBackup(JobArgs, kind="backup_purge"):
    """Remove the rows that a deleted backup has left behind."""

    backup_id: UUID

    def lane(self) -> str:
        """Behind the indexing that may still be at its last step."""
        return f"backup:{self.backup_id}"

    def unique_key(self) -> str:
        """Once is enough."""
        return str(self.backup_id)


async def follow_job(session: AsyncSession, change: Change) -> None:
    """Move a backup's status with its job."""
    backup_id = UUID(str(change.args["backup_id"]))
    if change.status is JobStatus.RUNNING:
        await store.started(session, backup_id, change.job_id)
    elif change.status is JobStatus.COMPLETED:
        await store.ended(session, backup_id, change.job_id, well=True)
    elif change.status.ended:
        await store.ended(session, backup_id, change.job_id, well=False)
    elif change.event == RETRY.event:  # released, recovered or waiting: still INDEXING
        await store.asked(session, backup_id, change.job_id)


@job(function="index_backup", max_attempts=5, on_change=follow_job)
async def index_backup(ctx: JobContext, args: IndexBackup) -> dict[str, Any]:
    """Read the backup in a child process, a batch of messages per step, into a new generation.

    A retry goes on in the generation it has begun, after the last committed batch; a second run
    of an unchanged backup changes no row. Readers see the old generation until the new one is
    whole, also when this fails or is cancelled. A database that is missing or broken becomes a
    warning on the backup, and the job completes.
    """
    backup = await _backup(ctx, args.backup_id)
    roots = ctx.resources.settings.backup_roots
    real = await asyncio.to_thread(
        real_backup, backup.path, backup.artifacts, roots, backup.confined_to
    )
    request = {"do": "open", **real}
    async with ChildPool("app.backups.child:answer", LIMITS) as pool:
        opened = await _open(pool, request)
        await _describe(ctx, backup.id, opened)
        run = MessagesRun(ctx, backup.id, pool)
        outcome, problems = await _index(run, pool, request, opened)
    warnings = opened["warnings"] + [{"artifact": DOMAIN, **one} for one in problems]
    counts = await _finish(ctx, backup.id, warnings)
    return {
        "backup_id": str(backup.id),
        "domains": {DOMAIN: outcome},
        "counts": counts,
        "warnings": warnings,
    }


@job(function="purge_backup", max_attempts=5, maintenance=True)
async def purge_backup(ctx: JobContext, args: PurgeBackup) -> dict[str, Any]:
    """Delete rows of a backup that is gone, a batch per step; a second run finds nothing."""
    deleted = 1
    while deleted:
        async with ctx.step(stage="removing") as step:
            deleted = await generations.remove_dead(step.session, args.backup_id, None)
            step.advance(deleted)
    return {"backup_id": str(args.backup_id), "rows": ctx.processed}


async def _backup(ctx: JobContext, backup_id: UUID) -> Backup:
    async with ctx.resources.db.reading() as session:
        try:
            return await store.one(session, backup_id, None)
        except NotFound as error:
            raise NotFound("The backup was deleted.", code="backup_deleted") from error


async def _open(pool: ChildPool, request: dict[str, Any]) -> dict[str, Any]:
    try:
        frames = [frame async for frame in pool.stream(request)]
    except ChildDied as error:
        raise _unless_of_the_input(error) from error
    opened: dict[str, Any] = frames[0]
    return opened


async def _describe(ctx: JobContext, backup_id: UUID, opened: dict[str, Any]) -> None:
    """Write down whose phone this is; an encrypted backup goes no further.

    Raises:
        Invalid: code `encrypted`.
    """
    detail = "The backup is encrypted: nothing can be read without its password."
    locked = [{"code": "encrypted", "artifact": None, "detail": detail}]
    facts = {name: opened[name] for name in ("device", "ios_version", "udid", "backed_up_at")}
    async with ctx.step(stage="opening") as step:
        await store.hold(step.session, backup_id)
        if opened["encrypted"]:
            facts["warnings"] = opened["warnings"] + locked
        await store.describe(step.session, backup_id, facts)
    if opened["encrypted"]:
        raise Invalid(detail, code="encrypted")


async def _index(
    run: MessagesRun, pool: ChildPool, request: dict[str, Any], opened: dict[str, Any]
) -> tuple[str, list[dict[str, Any]]]:
    """Index one domain; how it went, in a word, and its warnings. Its failure is its own."""
    found = opened["found"][DOMAIN]
    if "code" in found:
        return found["code"], [found]
    try:
        warnings = await run.run(found, opened["folder"])
    except ChildDied as error:
        problem = _unless_of_the_input(error)
        return problem.code, [{"code": problem.code, "detail": str(problem)}]
    except Refused as error:
        return error.code, [{"code": error.code, "detail": str(error)}]
    if run.progress is None or run.progress.done:
        return "unchanged" if run.progress is None else "indexed", warnings
    if not run.progress.messages and any(one["code"] == "corrupt" for one in warnings):
        return "corrupt", warnings  # what an older run has read is worth more than nothing
    again = await _open(pool, request)
    changed = again["found"].get(DOMAIN, {}).get("fingerprint") != found["fingerprint"]
    if changed:
        detail = "The backup changed while it was read; index it again for a whole picture."
        warnings = [*warnings, {"code": "changed_while_read", "detail": detail}]
    await run.flip(warnings, changed=changed)
    return "indexed", warnings


async def _finish(
    ctx: JobContext, backup_id: UUID, warnings: list[dict[str, Any]]
) -> dict[str, int]:
    """Remove what is dead, a batch per step, and close the books; what readers see now."""
    while True:
        async with ctx.step(stage="removing old rows") as step:
            await store.hold(step.session, backup_id)
            pointer = await generations.pointer(step.session, backup_id, DOMAIN)
            deleted = await generations.remove_dead(step.session, backup_id, pointer.live)
            if deleted and pointer.newest != pointer.live:
                # What a stopped run has begun is going: nobody must take it up again.
                await generations.begin(step.session, backup_id, DOMAIN)
            if not deleted:
                facts = {"warnings": warnings, "indexed_at": now()}
                await store.describe(step.session, backup_id, facts)
        if not deleted:
            return pointer.counts


def _unless_of_the_input(error: ChildDied) -> ChildDied:
    """The error, if it tells something about the backup.

    Raises:
        Unavailable: it tells something about this machine, and the same may succeed later.
    """
    if error.cause == "start":
        raise Unavailable("The process that reads backups could not be started.") from error
    return error
