"""All SQL on notes' embeddings; nobody here commits.

A note is stale when it has no embedding of its present text by the model that is set. Nothing
else says so, and nothing but an embedding changes it.

A write of a note and the end of the owner's job both pass one row, `note_refreshes`. The job
ends only with "no note is stale" in the same transaction, so a write that came before is seen,
and one that comes after finds no job and asks for another.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, null, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import now
from app.core.db import on_sqlite
from app.notes.models import Note, NoteEmbedding, NoteRefresh
from app.notes.store import embedded_text

_Row = NoteEmbedding


class Waiting(NamedTuple):
    """A note of a batch, and what the model shall be given: None when its vector is up to date."""

    id: UUID
    text_hash: str
    text: str | None


class Failure(NamedTuple):
    """A note that the model would not embed, and why."""

    note_id: UUID
    error: str


# ---------------------------------------------------------------------------- the owner's gate


async def pass_gate(session: AsyncSession, owner_id: UUID) -> datetime:
    """Wait for the end of a job that is just ending, and hold up any other, until this commits.

    Returns:
        The database's clock.
    """
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    made = dialect.insert(NoteRefresh).values(owner_id=owner_id)
    # An update that changes nothing: it locks the row.
    locked = made.on_conflict_do_update(
        index_elements=["owner_id"], set_={"full_job_id": NoteRefresh.full_job_id}
    )
    moment: datetime = (await session.execute(locked.returning(now()))).scalar_one()
    return moment


async def ask_for_all(session: AsyncSession, owner_id: UUID, job_id: UUID) -> None:
    """Make a job of the owner's, waiting or running, one for all notes. The gate was passed."""
    gate = update(NoteRefresh).where(NoteRefresh.owner_id == owner_id)
    await session.execute(gate.values(full_job_id=job_id))


async def is_for_all(session: AsyncSession, owner_id: UUID, job_id: UUID) -> bool:
    """Whether the job was asked to do all notes."""
    gate = select(NoteRefresh.full_job_id).where(NoteRefresh.owner_id == owner_id)
    return bool(await session.scalar(gate) == job_id)


# ---------------------------------------------------------------------------------- embeddings


async def count(session: AsyncSession, owner_id: UUID) -> int:
    """How many notes the owner has."""
    return await session.scalar(select(func.count()).where(Note.owner_id == owner_id)) or 0


async def count_stale(session: AsyncSession, owner_id: UUID, model_id: int) -> int:
    """How many of the owner's notes are stale."""
    mine = select(func.count(Note.id)).outerjoin(_Row, _Row.note_id == Note.id)
    return await session.scalar(mine.where(Note.owner_id == owner_id, _stale(model_id))) or 0


async def all_after(
    session: AsyncSession, owner_id: UUID, model_id: int, after: UUID | None, limit: int
) -> list[Waiting]:
    """The owner's next notes by id; with their text if they have no vector that is up to date."""
    needed = or_(_stale(model_id), _Row.vector.is_(None))
    following = [] if after is None else [Note.id > after]
    return await _waiting(session, needed, Note.owner_id == owner_id, *following, limit=limit)


async def stale(session: AsyncSession, owner_id: UUID, model_id: int, limit: int) -> list[Waiting]:
    """The owner's first stale notes by id."""
    needed = _stale(model_id)
    return await _waiting(session, needed, Note.owner_id == owner_id, needed, limit=limit)


async def save(
    session: AsyncSession, model_id: int, notes: Sequence[Waiting], found: Sequence[Any]
) -> set[UUID]:
    """Store what the model made of each note: a vector, or a sentence why there is none.

    Returns:
        The notes of which it was stored: none that was rewritten or deleted meanwhile.
    """
    if not notes:
        return set()
    ids = [note.id for note in notes]
    present = select(Note.id, Note.text_hash).where(Note.id.in_(ids)).order_by(Note.id)
    held = await session.execute(present.with_for_update(read=True))
    hashes = {row.id: row.text_hash for row in held}
    kept = [
        (note, made)
        for note, made in zip(notes, found, strict=True)
        if hashes.get(note.id) == note.text_hash
    ]
    rows = [
        {
            "note_id": note.id,
            "model_id": model_id,
            "text_hash": note.text_hash,
            "vector": None if isinstance(made, str) else made,
            "error": made if isinstance(made, str) else None,
        }
        for note, made in kept
    ]
    if rows:
        dialect: Any = sqlite if on_sqlite(session) else postgresql
        statement = dialect.insert(_Row)
        taken = ("model_id", "text_hash", "vector", "error")
        values = {name: statement.excluded[name] for name in taken}
        statement = statement.values(embedded_at=now()).on_conflict_do_update(
            index_elements=["note_id"], set_=values | {"embedded_at": now()}
        )
        await session.execute(statement, rows)
    return {note.id for note, _made in kept}


async def failures(
    session: AsyncSession, owner_id: UUID, model_id: int, since: datetime, limit: int
) -> list[Failure]:
    """The owner's first notes, by id, that the model has refused `since` then as they are now."""
    statement = (
        select(Note.id, _Row.error)
        .join(_Row, _Row.note_id == Note.id)
        .where(Note.owner_id == owner_id, ~_stale(model_id))
        .where(_Row.error.is_not(None), _Row.embedded_at >= since)
        .order_by(Note.id)
    )
    found = await session.execute(statement.limit(limit))
    return [Failure(row.id, row.error or "") for row in found]


async def _waiting(
    session: AsyncSession, needed: ColumnElement[bool], *which: ColumnElement[bool], limit: int
) -> list[Waiting]:
    statement = (
        select(
            Note.id,
            Note.text_hash,
            case((needed, Note.title), else_=null()),
            case((needed, Note.content), else_=null()),
        )
        .outerjoin(_Row, _Row.note_id == Note.id)
        .where(*which)
        .order_by(Note.id)
    )
    return [
        Waiting(id_, digest, None if title is None else embedded_text(title, content))
        for id_, digest, title, content in await session.execute(statement.limit(limit))
    ]


def _stale(model_id: int) -> ColumnElement[bool]:
    """Over notes with their embeddings joined from the outside."""
    return or_(_Row.note_id.is_(None), _Row.text_hash != Note.text_hash, _Row.model_id != model_id)
