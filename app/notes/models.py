"""The tables of notes, their embeddings, and reminders.

Whether a note's embedding is stale is no column: it is when the hash of the embedded text is
another than the note's, or the model another than the one that is set (`embeddings.py`).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import DDL, CheckConstraint, Index, Integer, String, Text, event, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.core.columns import BigSerial, Id, UtcDateTime, new_id
from app.core.db import Base
from app.core.vectors import HalfVector


class Note(Base):
    """One note of one owner."""

    __tablename__ = "notes"

    seq: Mapped[int] = mapped_column(BigSerial, primary_key=True)  # the rowid of the text index
    id: Mapped[UUID] = mapped_column(Id, unique=True, default=new_id)
    owner_id: Mapped[UUID] = mapped_column(Id)
    title: Mapped[str] = mapped_column(String(500))
    content: Mapped[str] = mapped_column(Text)
    text_hash: Mapped[str] = mapped_column(String(64))  # sha256 of what is embedded
    # PostgreSQL: its words. SQLite has FTS5 for them.
    words: Mapped[Any] = mapped_column(
        Text().with_variant(TSVECTOR(), "postgresql"), nullable=True, deferred=True
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_notes_owner_id_id", "owner_id", "id"),
        Index("ix_notes_words", "words", postgresql_using="gin").ddl_if("postgresql"),
        {"sqlite_autoincrement": True},
    )


# SQLite's text index: the words of title and content as they are compared, the texts left out.
TEXT_INDEX = (
    """CREATE VIRTUAL TABLE note_words USING fts5(title, content, content='',
      tokenize='porter unicode61 remove_diacritics 2')""",
    """CREATE TRIGGER note_words_added AFTER INSERT ON notes BEGIN
      INSERT INTO note_words (rowid, title, content)
      VALUES (new.seq, headway_fold(new.title), headway_fold(new.content)); END""",
    """CREATE TRIGGER note_words_removed AFTER DELETE ON notes BEGIN
      INSERT INTO note_words (note_words, rowid, title, content)
      VALUES ('delete', old.seq, headway_fold(old.title), headway_fold(old.content)); END""",
    """CREATE TRIGGER note_words_changed AFTER UPDATE OF title, content ON notes BEGIN
      INSERT INTO note_words (note_words, rowid, title, content)
      VALUES ('delete', old.seq, headway_fold(old.title), headway_fold(old.content));
      INSERT INTO note_words (rowid, title, content)
      VALUES (new.seq, headway_fold(new.title), headway_fold(new.content)); END""",
)
for _statement in TEXT_INDEX:
    _made = DDL(_statement).execute_if(dialect="sqlite")  # type: ignore[no-untyped-call]
    event.listen(Note.__table__, "after_create", _made)


class NoteEmbedding(Base):
    """What a model made of a note's text: a vector, or the reason why there is none."""

    __tablename__ = "note_embeddings"

    note_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    model_id: Mapped[int] = mapped_column(Integer)  # `embedding_models` has its identity
    text_hash: Mapped[str] = mapped_column(String(64))  # of the text that was embedded
    vector: Mapped[NDArray[np.float32] | None] = mapped_column(HalfVector, nullable=True)
    error: Mapped[str | None] = mapped_column(Text)
    embedded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class NoteRefresh(Base):
    """One owner's gate between writes of notes and the end of their job; see `embeddings.py`."""

    __tablename__ = "note_refreshes"

    owner_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    full_job_id: Mapped[UUID | None] = mapped_column(Id)  # the job that was asked for all notes


class Channel(StrEnum):
    """By which way a reminder reaches its person."""

    EMAIL = "email"
    LOG = "log"


class ReminderStatus(StrEnum):
    """Where a reminder stands.

    pending ─▶ sending ─▶ sent | failed. Back to pending after a try that may be repeated, and
    when the job that had it under way was lost. Only a pending one can be cancelled.
    """

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Reminder(Base):
    """One message that is sent once, when its time has come."""

    __tablename__ = "reminders"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    owner_id: Mapped[UUID] = mapped_column(Id)
    note_id: Mapped[UUID | None] = mapped_column(Id)
    message: Mapped[str] = mapped_column(Text)
    channel: Mapped[str] = mapped_column(String(16))
    recipient: Mapped[str | None] = mapped_column(String(254))
    scheduled_at: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[str] = mapped_column(String(16), server_default="pending")
    tries: Mapped[int] = mapped_column(Integer, server_default="0")  # that had an outcome
    job_id: Mapped[UUID | None] = mapped_column(Id)  # that has it under way, or tried it last
    dated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the mail's Date, for good
    # Its job was lost between the handing over and the note of it, so it may have been sent then.
    maybe_sent_twice: Mapped[bool] = mapped_column(server_default=text("false"))
    error_message: Mapped[str | None] = mapped_column(Text)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint(
            "status IN ('pending', 'sending', 'sent', 'failed', 'cancelled')", name="status"
        ),
        CheckConstraint("channel IN ('email', 'log')", name="channel"),
        Index("ix_reminders_owner_id_id", "owner_id", "id"),
        Index(
            "ix_reminders_pending",
            "scheduled_at",
            "id",
            postgresql_where=text("status = 'pending'"),
            sqlite_where=text("status = 'pending'"),
        ),
        Index(
            "ix_reminders_sending",
            "job_id",
            postgresql_where=text("status = 'sending'"),
            sqlite_where=text("status = 'sending'"),
        ),
    )
