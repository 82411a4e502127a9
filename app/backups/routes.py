"""Backups over HTTP: name one, index it again, read what is in it, delete it."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.accepted import accepted, answer
from app.api.auth import User
from app.api.deps import (
    OnceDep,
    PageDep,
    QueueDep,
    ReadDep,
    ResourcesDep,
    SessionDep,
    UserDep,
    owner_of,
)
from app.api.schemas import problems, starts_work
from app.backups import listing, schemas, store
from app.backups.item_ids import ItemIds
from app.backups.jobs import IndexBackup, PurgeBackup
from app.backups.models import Backup
from app.backups.paths import real_backup
from app.jobs.queue import JobQueue

router = APIRouter(prefix="/backups", tags=["backups"])

_AGAIN = schemas.IndexAgain()


@router.post("", status_code=202, response_class=Response, responses=starts_work())
async def register(
    body: schemas.NewBackup,
    session: SessionDep,
    user: UserDep,
    resources: ResourcesDep,
    queue: QueueDep,
    once: OnceDep,
) -> Response:
    """Name a backup below BACKUP_ROOTS and index it."""

    async def work() -> Response:
        backup = _new(body, user)
        roots = resources.settings.backup_roots
        await asyncio.to_thread(
            real_backup, backup.path, backup.artifacts, roots, backup.confined_to
        )
        await store.add(session, backup)
        return await _ask(session, queue, backup)

    return await once.answer(session, body.model_dump(mode="json"), work)


@router.post("/{backup_id}/index", status_code=202, response_class=Response,
             responses=starts_work(404))  # fmt: skip
async def index_again(
    backup_id: UUID,
    session: SessionDep,
    user: UserDep,
    queue: QueueDep,
    once: OnceDep,
    body: Annotated[schemas.IndexAgain, Body()] = _AGAIN,
) -> Response:
    """Index a backup again. Its rows are replaced at once when the new ones are whole."""

    async def work() -> Response:
        return await _ask(session, queue, await store.one(session, backup_id, owner_of(user)))

    return await once.answer(session, body.model_dump(mode="json"), work)


@router.get("", response_model=schemas.Backups)
async def backups(session: ReadDep, user: UserDep, page: PageDep) -> Response:
    """The caller's backups, newest first."""
    found, total = await store.page(session, owner_of(user), page.limit, page.offset)
    counts = await store.counts(session, [one.id for one in found])
    return _page((schemas.backup_view(one, counts[one.id]) for one in found), total)


@router.get("/{backup_id}", response_model=schemas.BackupView, responses=problems(404))
async def backup(backup_id: UUID, session: ReadDep, user: UserDep) -> Response:
    """One backup, with how much of it is indexed."""
    found = await store.one(session, backup_id, owner_of(user))
    counts = await store.counts(session, [backup_id])
    return answer(schemas.backup_view(found, counts[backup_id]))


@router.get("/{backup_id}/conversations", response_model=schemas.Items, responses=problems(404))
async def conversations(
    backup_id: UUID, session: ReadDep, user: UserDep, page: PageDep
) -> Response:
    """The chats of the Messages app, the one with the newest message first."""
    await store.one(session, backup_id, owner_of(user))
    rows, total = await listing.conversations(session, backup_id, page.limit, page.offset)
    ids = ItemIds(backup_id, "conversation")
    return _page((schemas.conversation_view(row, ids) for row in rows), total)


@router.get("/{backup_id}/messages", response_model=schemas.Items, responses=problems(404))
async def messages(
    backup_id: UUID,
    session: ReadDep,
    user: UserDep,
    page: PageDep,
    conversation_id: Annotated[UUID | None, Query()] = None,
) -> Response:
    """Messages by time, of one chat or of all. A chat that is not of this backup has none."""
    await store.one(session, backup_id, owner_of(user))
    ids, chats = ItemIds(backup_id, "message"), ItemIds(backup_id, "conversation")
    chat = None if conversation_id is None else chats.number(conversation_id)
    if conversation_id is not None and chat is None:
        return _page((), 0)
    rows, total = await listing.messages(session, backup_id, chat, page.limit, page.offset)
    files = await listing.attachments(session, backup_id, [row["number"] for row in rows])
    items = (schemas.message_view(row, files.get(row["number"], ()), ids, chats) for row in rows)
    return _page(items, total)


@router.delete("/{backup_id}", status_code=204, responses=problems(404))
async def delete(backup_id: UUID, session: SessionDep, user: UserDep, queue: QueueDep) -> None:
    """Delete a backup with everything indexed from it. The source files are left alone.

    From this answer on nobody sees any of it; a job that is indexing it stops at its next step,
    and the rows themselves go in the background.
    """
    found = await store.one(session, backup_id, owner_of(user))
    await store.remove(session, backup_id)
    await queue.enqueue(session, PurgeBackup(backup_id=backup_id), owner_id=found.owner_id)


def _new(body: schemas.NewBackup, user: User) -> Backup:
    artifacts = None if body.artifacts is None else {**body.artifacts}
    named = Path(body.path).name if body.path else "Databases"
    return Backup(
        owner_id=user.id,
        confined_to=None if user.is_admin else user.name,
        name=body.name or named or "Backup",
        path=body.path,
        artifacts=artifacts,
        warnings=[],
    )


async def _ask(session: AsyncSession, queue: JobQueue, backup: Backup) -> Response:
    """The job is the backup's owner's, also when an admin asks for it."""
    args = IndexBackup(backup_id=backup.id)
    stored = await queue.enqueue(session, args, owner_id=backup.owner_id)
    await store.asked(session, backup.id, stored.id)
    return accepted(stored, "The backup will be indexed.", backup_id=backup.id)


def _page(items: Iterable[dict[str, Any]], total: int) -> Response:
    return answer({"items": list(items), "total": total})
