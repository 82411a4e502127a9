"""All SQL on notes: plain functions, the session first, nobody here commits."""

import hashlib
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, literal_column, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import now
from app.core.db import on_sqlite
from app.core.errors import NotFound
from app.notes.models import Note, NoteEmbedding, Reminder


async def add(session: AsyncSession, owner_id: UUID, title: str, content: str) -> Note:
    """Store a new note."""
    moment = (await session.execute(select(now()))).scalar_one()
    note = Note(owner_id=owner_id, created_at=moment, updated_at=moment)
    for name, value in _texts(session, title, content).items():
        setattr(note, name, value)
    session.add(note)
    await session.flush()
    return note


async def one(session: AsyncSession, note_id: UUID, owner_id: UUID | None) -> Note:
    """A note of `owner_id` (None: of anybody). Raises `NotFound`."""
    found: Note | None = await session.scalar(select(Note).where(*_mine(note_id, owner_id)))
    if found is None:
        raise NotFound("there is no such note")
    return found


async def newest(
    session: AsyncSession, owner_id: UUID | None, *, limit: int, offset: int
) -> tuple[list[Note], int]:
    """One part of the owner's notes, newest first, and how many there are in all."""
    mine = _seen_by(owner_id)
    total = await session.scalar(select(func.count()).select_from(Note).where(mine))
    rows = select(Note).where(mine).order_by(Note.id.desc()).limit(limit).offset(offset)
    return list(await session.scalars(rows)), total or 0


async def replace(
    session: AsyncSession, note_id: UUID, owner_id: UUID | None, title: str, content: str
) -> Note:
    """Give a note another text. Raises `NotFound`."""
    statement = update(Note).where(*_mine(note_id, owner_id))
    values = _texts(session, title, content) | {"updated_at": now()}
    changed: Note | None = await session.scalar(statement.values(**values).returning(Note))
    if changed is None:
        raise NotFound("there is no such note")
    return changed


async def remove(session: AsyncSession, note_id: UUID, owner_id: UUID | None) -> None:
    """Delete a note; its reminders stay and name it no more. Raises `NotFound`."""
    gone = delete(Note).where(*_mine(note_id, owner_id)).returning(Note.id)
    if await session.scalar(gone) is None:
        raise NotFound("there is no such note")
    await session.execute(delete(NoteEmbedding).where(NoteEmbedding.note_id == note_id))
    await session.execute(update(Reminder).where(Reminder.note_id == note_id).values(note_id=None))


def embedded_text(title: str, content: str) -> str:
    """What a model is given of a note."""
    return f"{title}\n{content}"


def _texts(session: AsyncSession, title: str, content: str) -> dict[str, Any]:
    """The columns that hold a note's text, or follow from it."""
    digest = hashlib.sha256(embedded_text(title, content).encode()).hexdigest()
    columns: dict[str, Any] = {"title": title, "content": content, "text_hash": digest}
    if not on_sqlite(session):
        columns["words"] = _weighted(title, "'A'").op("||")(_weighted(content, "'B'"))
    return columns


def _weighted(words: str, weight: str) -> ColumnElement[Any]:
    """Words as PostgreSQL searches them; `weight` is a quoted letter, which has to be literal."""
    vector = func.to_tsvector("headway", func.headway_fold(words))
    return func.setweight(vector, literal_column(weight))


def _mine(note_id: UUID, owner_id: UUID | None) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Note.id == note_id, _seen_by(owner_id)


def _seen_by(owner_id: UUID | None) -> ColumnElement[bool]:
    return true() if owner_id is None else Note.owner_id == owner_id
