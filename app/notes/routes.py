"""Notes and reminders over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.api.accepted import answer
from app.api.deps import OnceDep, PageDep, ReadDep, ResourcesDep, SessionDep, UserDep, owner_of
from app.api.schemas import problems
from app.notes import reminder_rows, store
from app.notes.models import ReminderStatus
from app.notes.reminders import check_recipient
from app.notes.schemas import (
    NewNote,
    NewReminder,
    NoteList,
    NoteView,
    ReminderList,
    ReminderView,
)

notes = APIRouter(prefix="/notes", tags=["notes"])
reminders = APIRouter(prefix="/reminders", tags=["reminders"])


@notes.post("", status_code=201, response_model=NoteView, responses=problems(409))
async def write_note(body: NewNote, session: SessionDep, user: UserDep, once: OnceDep) -> Response:
    """Keep a note."""

    async def work() -> Response:
        note = await store.add(session, user.id, body.title, body.content)
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
    note_id: UUID, body: NewNote, session: SessionDep, user: UserDep
) -> NoteView:
    """Give the note another title and text."""
    changed = await store.replace(session, note_id, owner_of(user), body.title, body.content)
    return NoteView.of(changed)


@notes.delete("/{note_id}", status_code=204, responses=problems(404))
async def delete_note(note_id: UUID, session: SessionDep, user: UserDep) -> None:
    """Delete the note. Its reminders stay."""
    await store.remove(session, note_id, owner_of(user))


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
