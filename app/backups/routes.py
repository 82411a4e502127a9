"""Backups over HTTP: name one, index it again, read what is in it, delete it."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.accepted import accepted, answer
from app.api.auth import User
from app.api.deps import (
    OnceDep,
    Page,
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
from app.backups.jobs import IndexBackup, PurgeBackup
from app.backups.models import Backup
from app.backups.paths import real_backup
from app.jobs.queue import JobQueue
from app.resources import Resources

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
        return await _ask(session, queue, backup, resources, body.password)

    return await once.answer(session, body.model_dump(mode="json"), work)


@router.post("/{backup_id}/index", status_code=202, response_class=Response,
             responses=starts_work(404))  # fmt: skip
async def index_again(
    backup_id: UUID,
    session: SessionDep,
    user: UserDep,
    resources: ResourcesDep,
    queue: QueueDep,
    once: OnceDep,
    body: Annotated[schemas.IndexAgain, Body()] = _AGAIN,
) -> Response:
    """Index a backup again. Its rows are replaced at once when the new ones are whole."""

    async def work() -> Response:
        found = await store.one(session, backup_id, owner_of(user))
        return await _ask(session, queue, found, resources, body.password)

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


@router.get("/{backup_id}/photos", response_model=schemas.Items, responses=problems(404))
async def photos(backup_id: UUID, session: ReadDep, user: UserDep, page: PageDep) -> Response:
    """Photos and videos by the time they were taken."""
    return await _list("photos", backup_id, session, user, page)


@router.get("/{backup_id}/conversations", response_model=schemas.Items, responses=problems(404))
async def conversations(
    backup_id: UUID, session: ReadDep, user: UserDep, page: PageDep
) -> Response:
    """The chats of the Messages app, the one with the newest message first."""
    return await _list("conversations", backup_id, session, user, page)


@router.get("/{backup_id}/messages", response_model=schemas.Items, responses=problems(404))
async def messages(
    backup_id: UUID,
    session: ReadDep,
    user: UserDep,
    page: PageDep,
    conversation_id: Annotated[UUID | None, Query()] = None,
) -> Response:
    """Messages by time, of one chat or of all. A chat that is not of this backup has none."""
    return await _list("messages", backup_id, session, user, page, conversation_id)


@router.get("/{backup_id}/whatsapp-chats", response_model=schemas.Items, responses=problems(404))
async def whatsapp_chats(
    backup_id: UUID, session: ReadDep, user: UserDep, page: PageDep
) -> Response:
    """The chats of WhatsApp, the one with the newest message first."""
    return await _list("whatsapp-chats", backup_id, session, user, page)


@router.get("/{backup_id}/whatsapp-messages", response_model=schemas.Items, responses=problems(404))
async def whatsapp_messages(
    backup_id: UUID,
    session: ReadDep,
    user: UserDep,
    page: PageDep,
    chat_id: Annotated[UUID | None, Query()] = None,
) -> Response:
    """WhatsApp messages by time, of one chat or of all."""
    return await _list("whatsapp-messages", backup_id, session, user, page, chat_id)


@router.get("/{backup_id}/notes", response_model=schemas.Items, responses=problems(404))
async def notes(backup_id: UUID, session: ReadDep, user: UserDep, page: PageDep) -> Response:
    """The notes of the Notes app, the one changed last first."""
    return await _list("notes", backup_id, session, user, page)


@router.get("/{backup_id}/calendars", response_model=schemas.Items, responses=problems(404))
async def calendars(backup_id: UUID, session: ReadDep, user: UserDep, page: PageDep) -> Response:
    """Calendars by name."""
    return await _list("calendars", backup_id, session, user, page)


@router.get("/{backup_id}/events", response_model=schemas.Items, responses=problems(404))
async def events(backup_id: UUID, session: ReadDep, user: UserDep, page: PageDep) -> Response:
    """Events and reminders by the time they begin."""
    return await _list("events", backup_id, session, user, page)


@router.get("/{backup_id}/contacts", response_model=schemas.Items, responses=problems(404))
async def contacts(backup_id: UUID, session: ReadDep, user: UserDep, page: PageDep) -> Response:
    """The cards of the address book by name."""
    return await _list("contacts", backup_id, session, user, page)


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


async def _ask(
    session: AsyncSession,
    queue: JobQueue,
    backup: Backup,
    resources: Resources,
    password: SecretStr | None,
) -> Response:
    """The job is the backup's owner's, also when an admin asks for it."""
    args = IndexBackup(backup_id=backup.id, with_password=password is not None)
    stored = await queue.enqueue(session, args, owner_id=backup.owner_id)
    if password is not None:
        key, secret = resources.settings.secret(), password.get_secret_value()
        await queue.keep_secret(session, stored, key, secret)
    await store.asked(session, backup.id, stored.id)
    return accepted(stored, "The backup will be indexed.", backup_id=backup.id)


async def _list(
    name: str,
    backup_id: UUID,
    session: AsyncSession,
    user: User,
    page: Page,
    parent: UUID | None = None,
) -> Response:
    """A page of one list of a backup that the caller may see."""
    await store.one(session, backup_id, owner_of(user))
    listed = listing.LISTS[name]
    return _page(*await listing.page(session, backup_id, listed, page.limit, page.offset, parent))


def _page(items: Iterable[dict[str, Any]], total: int) -> Response:
    return answer({"items": list(items), "total": total})
