"""SQL on backups themselves; what is indexed from them is in `generations` and `listing`."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, case, delete, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import ColumnElement

from app.backups.models import Backup, BackupArtifact, BackupStatus
from app.core.columns import now
from app.core.errors import Conflict, NotFound

# SQLite has one writer anyway.
_HELD = (
    select(Backup.id).where(Backup.id == bindparam("id")).with_for_update(read=True, key_share=True)
)
_IS_LIVE = Backup.indexed_at.is_not(None)  # all of it was whole at least once


def visible(owner_id: UUID | None) -> ColumnElement[bool]:
    """The backups that a caller sees: their own, or all when `owner_id` is None (admins)."""
    return true() if owner_id is None else Backup.owner_id == owner_id


async def add(session: AsyncSession, backup: Backup) -> None:
    """Store a new backup."""
    session.add(backup)
    backup.created_at = now()
    await session.flush()


async def one(session: AsyncSession, backup_id: UUID, owner_id: UUID | None) -> Backup:
    """A backup that the caller may see. Raises `NotFound`."""
    statement = select(Backup).where(Backup.id == backup_id, visible(owner_id))
    found = (await session.execute(statement)).scalar_one_or_none()
    if found is None:
        raise NotFound("there is no such backup")
    return found


async def page(
    session: AsyncSession, owner_id: UUID | None, limit: int, offset: int
) -> tuple[Sequence[Backup], int]:
    """Backups that the caller may see, newest first, and how many there are."""
    total = select(func.count()).select_from(Backup).where(visible(owner_id))
    statement = (
        select(Backup)
        .where(visible(owner_id))
        .order_by(Backup.created_at.desc(), Backup.id.desc())
        .limit(limit)
        .offset(offset)
    )
    found = (await session.execute(statement)).scalars().all()
    return found, (await session.execute(total)).scalar_one()


async def counts(session: AsyncSession, backup_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """What readers see of each backup, by the names of the kinds of items."""
    statement = select(BackupArtifact.backup_id, BackupArtifact.counts).where(
        BackupArtifact.backup_id.in_(backup_ids), BackupArtifact.live_generation.is_not(None)
    )
    found: dict[UUID, dict[str, int]] = {backup_id: {} for backup_id in backup_ids}
    for backup_id, numbers in await session.execute(statement):
        found[backup_id] |= numbers
    return found


async def hold(session: AsyncSession, backup_id: UUID) -> None:
    """Insist that the backup exists, and that it does until this transaction ends.

    Raises:
        NotFound: it was deleted; the job must stop.
    """
    if (await session.execute(_HELD, {"id": backup_id})).one_or_none() is None:
        raise NotFound("The backup was deleted.", code="backup_deleted")


async def describe(session: AsyncSession, backup_id: UUID, facts: Mapping[str, Any]) -> None:
    """Write down what was found out about a backup: columns of `Backup`."""
    await session.execute(update(Backup).where(Backup.id == backup_id).values(**facts))


async def asked(session: AsyncSession, backup_id: UUID, job_id: UUID) -> None:
    """A job was asked for. A backup that is being indexed goes on as it is."""
    await session.execute(
        update(Backup)
        .where(Backup.id == backup_id, Backup.status != BackupStatus.INDEXING)
        .values(job_id=job_id, status=_indexed_or(BackupStatus.REGISTERED))
    )


async def insist_no_password(session: AsyncSession, backup_id: UUID, *, had_one: bool) -> None:
    """A job that has ended cannot be tried again with a password that went with it.

    Raises:
        Conflict: code `password_required`.
    """
    statement = select(Backup.encrypted).where(Backup.id == backup_id)
    encrypted = (await session.execute(statement)).scalar_one_or_none()
    if encrypted or (encrypted is None and had_one):
        detail = "The backup is encrypted: index it again with its password."
        raise Conflict(detail, code="password_required")


async def started(session: AsyncSession, backup_id: UUID, job_id: UUID) -> None:
    """A job has begun to index."""
    await session.execute(
        update(Backup)
        .where(Backup.id == backup_id)
        .values(job_id=job_id, status=BackupStatus.INDEXING.value)
    )


async def ended(session: AsyncSession, backup_id: UUID, job_id: UUID, *, well: bool) -> None:
    """A job has ended. While another one is indexing, that one decides."""
    status = BackupStatus.INDEXED.value if well else _indexed_or(BackupStatus.FAILED)
    await session.execute(
        update(Backup)
        .where(
            Backup.id == backup_id,
            or_(Backup.status != BackupStatus.INDEXING, Backup.job_id == job_id),
        )
        .values(status=status)
    )


async def remove(session: AsyncSession, backup_id: UUID) -> None:
    """Delete a backup and its pointers: nothing of it is visible any more, to anybody."""
    # The backup first, as a step of its job takes them: so neither waits for the other in a ring.
    await session.execute(delete(Backup).where(Backup.id == backup_id))
    await session.execute(delete(BackupArtifact).where(BackupArtifact.backup_id == backup_id))


def _indexed_or(otherwise: BackupStatus) -> ColumnElement[str]:
    return case((_IS_LIVE, BackupStatus.INDEXED.value), else_=otherwise.value)
