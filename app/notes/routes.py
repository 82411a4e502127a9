"""Notes and reminders over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response

from app.api.accepted import accepted, answer
from app.api.deps import (
    OnceDep,
    PageDep,
    QueueDep,
    ReadDep,
    ResourcesDep,
    ServicesDep,
    SessionDep,
    UserDep,
    owner_of,
)
from app.api.schemas import problems, starts_work
from app.notes import reminder_rows, store
from app.notes.jobs import ask_for_refresh, ask_for_regeneration
from app.notes.models import ReminderStatus
from app.notes.reminders import check_recipient
from app.notes.schemas import (
    NewNote,
    NewReminder,
    NoteList,
    NoteView,
    Regenerate,
    ReminderList,
    ReminderView,
)

semantic = APIRouter(prefix="/semantic", tags=["notes"])
notes = APIRouter(prefix="/notes", tags=["notes"])
reminders = APIRouter(prefix="/reminders", tags=["reminders"])
# Notes take the queue from the services: a write is no request for work, so no limit refuses it.

_ALL = Regenerate()


@notes.post("", status_code=201, response_model=NoteView, responses=problems(409))
async def write_note(
    body: NewNote, session: SessionDep, user: UserDep, services: ServicesDep, once: OnceDep
) -> Response:
    """Keep a note. Its embedding is made in the background."""

    async def work() -> Response:
        note = await store.add(session, user.id, body.title, body.content)
        await ask_for_refresh(session, services.queue, user.id)
        view = NoteView.of(note).model_dump(mode="json")
        return answer(view, status=201, headers={"Location": f"/notes/{note.id}"})

    return await once.answer(session, body.model_dump(), work)


@notes.get("")
async def list_notes(session: ReadDep, user: UserDep, page: PageDep) -> NoteList:
    """The caller's notes, newest first."""
    rows, total = await store.newest(session, owner_of(user), limit=page.limit, offset=page.offset)
    return NoteList(items=[NoteView.of(row) for row in rows], total=total)


@notes.get("/{note_id}", responses=problems(404))
async def show_note(note_id: UUID, session: ReadDep, user: UserDep) -> NoteView:
    """One note."""
    return NoteView.of(await store.one(session, note_id, owner_of(user)))


@notes.put("/{note_id}", responses=problems(404))
async def rewrite_note(
    note_id: UUID, body: NewNote, session: SessionDep, user: UserDep, services: ServicesDep
) -> NoteView:
    """Give the note another title and text. Its embedding is made again in the background."""
    changed = await store.replace(session, note_id, owner_of(user), body.title, body.content)
    await ask_for_refresh(session, services.queue, changed.owner_id)
    return NoteView.of(changed)


@notes.delete("/{note_id}", status_code=204, responses=problems(404))
async def delete_note(note_id: UUID, session: SessionDep, user: UserDep) -> None:
    """Delete the note. Its reminders stay."""
    await store.remove(session, note_id, owner_of(user))


@semantic.post("/regenerate-embeddings", status_code=202, responses=starts_work())
async def regenerate(
    session: SessionDep,
    user: UserDep,
    queue: QueueDep,
    once: OnceDep,
    body: Annotated[Regenerate, Body()] = _ALL,
) -> Response:
    """Embed all of the caller's notes again, or only those whose text or model has changed.

    A vector that is up to date is not made again. One job per user: a request for all notes
    turns a refresh that waits or runs into the job for all, and any other finds the job at work.
    """

    async def work() -> Response:
        job = await ask_for_regeneration(session, queue, user.id, only_stale=body.only_stale)
        which = "stale notes" if body.only_stale else "notes"
        return accepted(job, f"The {which} will be embedded.")

    return await once.answer(session, body.model_dump(), work)


@reminders.post("", status_code=201, response_model=ReminderView, responses=problems(404, 409))
async def remind(
    body: NewReminder,
    session: SessionDep,
    user: UserDep,
    resources: ResourcesDep,
    once: OnceDep,
) -> Response:
    """Ask to be reminded. A time that has passed is due at once: at the next quarter of an hour."""

    async def work() -> Response:
        if body.recipient is not None and not user.is_admin:
            check_recipient(body.recipient, resources.settings.mail_allowed)
        if body.note_id is not None:
            await store.one(session, body.note_id, owner_of(user))
        row = await reminder_rows.add(session, user.id, **dict(body))
        return answer(ReminderView.of(row).model_dump(mode="json"), status=201)

    return await once.answer(session, body.model_dump(mode="json"), work)


@reminders.get("")
async def list_reminders(
    session: ReadDep,
    user: UserDep,
    page: PageDep,
    status: Annotated[ReminderStatus | None, Query()] = None,
) -> ReminderList:
    """The caller's reminders, newest first; with `status`, those that stand there."""
    rows, total = await reminder_rows.newest(
        session, owner_of(user), status, limit=page.limit, offset=page.offset
    )
    return ReminderList(items=[ReminderView.of(row) for row in rows], total=total)


@reminders.delete("/{reminder_id}", status_code=204, responses=problems(404, 409))
async def cancel_reminder(reminder_id: UUID, session: SessionDep, user: UserDep) -> None:
    """Cancel a reminder that waits; it stays in the list as `cancelled`."""
    await reminder_rows.cancel(session, reminder_id, owner_of(user))
