"""The jobs of backups: index one, and clear away what is left of a deleted one."""

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.backups import generations, store
from app.backups.domains import TABLES
from app.backups.indexing import BackupRun, ask, unless_of_the_input
from app.backups.models import Backup
from app.backups.paths import real_backup
from app.core.errors import Invalid, NotFound
from app.core.processes import ChildDied, ChildPool, Limits, Refused
from app.core.scratch import private_folder
from app.jobs.context import JobContext
from app.jobs.spec import Change, JobArgs, job
from app.jobs.states import RETRY, JobStatus

LIMITS = Limits(
    memory_bytes=1024 * 2**20,
    cpu_seconds=3600,
    seconds_per_frame=180,  # the first frame of ten million messages takes a minute
    seconds_in_all=3 * 3600,
)

_CLOSED = frozenset({"encrypted", "wrong_password"})  # of the last try only


class IndexBackup(JobArgs, kind="backup_index"):
    """Read what a backup holds into the tables."""

    backup_id: UUID
    with_password: bool = False  # it is sealed in the job's secret, and goes with it

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
        await store.insist_no_password(
            session, backup_id, had_one=bool(change.args.get("with_password"))
        )
        await store.asked(session, backup_id, change.job_id)


@job(function="index_backup", max_attempts=5, on_change=follow_job, secret=True)
async def index_backup(ctx: JobContext, args: IndexBackup) -> dict[str, Any]:
    """Read the backup in a child process, a batch per step, each domain into a new generation.

    A retry goes on in the generation it has begun, after the last committed batch; a second run
    of an unchanged backup changes no row. Readers see the old generation of a domain until its
    new one is whole, also when this fails or is cancelled. A database that is missing or broken
    becomes a warning on the backup, the other domains are indexed, and the job completes.
    """
    backup = await _backup(ctx, args.backup_id)
    settings = ctx.resources.settings
    real = await asyncio.to_thread(
        real_backup, backup.path, backup.artifacts, settings.backup_roots, backup.confined_to
    )
    with private_folder(settings.data_dir / "scratch") as room:
        async with ChildPool("app.backups.child:answer", LIMITS) as pool:
            request = {"do": "look", "room": str(room), "password": await ctx.secret(), **real}
            looked = await _look(ctx, backup, pool, request)
            await _describe(ctx, backup, looked)
            run = BackupRun(ctx, backup.id, pool, looked)
            counts = await run.run()
    return {
        "backup_id": str(backup.id),
        "domains": run.outcomes,
        "counts": counts,
        "warnings": run.warnings,
    }


@job(function="purge_backup", max_attempts=5, maintenance=True)
async def purge_backup(ctx: JobContext, args: PurgeBackup) -> dict[str, Any]:
    """Delete rows of a backup that is gone, a batch per step; a second run finds nothing."""
    deleted = 1
    while deleted:
        async with ctx.step(stage="removing") as step:
            deleted = await generations.remove_dead(
                step.session, args.backup_id, None, None, TABLES
            )
            step.advance(deleted)
    return {"backup_id": str(args.backup_id), "rows": ctx.processed}


async def _backup(ctx: JobContext, backup_id: UUID) -> Backup:
    async with ctx.resources.db.reading() as session:
        try:
            return await store.one(session, backup_id, None)
        except NotFound as error:
            raise NotFound("The backup was deleted.", code="backup_deleted") from error


async def _look(
    ctx: JobContext, backup: Backup, pool: ChildPool, request: dict[str, Any]
) -> dict[str, Any]:
    """Look into the backup; one that cannot be looked into says so in its warnings."""
    try:
        looked: dict[str, Any] = await ask(pool, request)
    except (ChildDied, Refused) as error:
        if isinstance(error, ChildDied):
            error = unless_of_the_input(error)
        facts: dict[str, Any] = {"encrypted": True} if error.code == "wrong_password" else {}
        warning = {"code": error.code, "artifact": None, "detail": str(error)}
        facts["warnings"] = _beside_what_is_live(backup, [warning])
        async with ctx.step(stage="opening") as step:
            await store.hold(step.session, backup.id)
            await store.describe(step.session, backup.id, facts)
        raise error from None
    return looked


async def _describe(ctx: JobContext, backup: Backup, looked: dict[str, Any]) -> None:
    """Write down whose phone this is; an encrypted backup goes no further without its password.

    Raises:
        Invalid: code `encrypted`.
    """
    detail = "The backup is encrypted: nothing can be read without its password."
    locked = looked["encrypted"] and not looked["found"]
    names = ("device", "ios_version", "udid", "backed_up_at", "encrypted")
    facts = {name: looked[name] for name in names}
    async with ctx.step(stage="opening") as step:
        await store.hold(step.session, backup.id)
        if locked:
            warning = {"code": "encrypted", "artifact": None, "detail": detail}
            facts["warnings"] = _beside_what_is_live(backup, [*looked["warnings"], warning])
        await store.describe(step.session, backup.id, facts)
    if locked:
        raise Invalid(detail, code="encrypted")


def _beside_what_is_live(backup: Backup, new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The warnings of a run that comes to nothing: those of what readers still see stay."""
    if backup.indexed_at is None:
        return new
    told = _CLOSED | {one["code"] for one in new}
    kept = (one for one in backup.warnings if one["artifact"] or one["code"] not in told)
    return [*kept, *new]
