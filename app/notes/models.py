"""The tables of notes and reminders."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.columns import Id, UtcDateTime, new_id
from app.core.db import Base


class Note(Base):
    """One note of one owner."""

    __tablename__ = "notes"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    owner_id: Mapped[UUID] = mapped_column(Id)
    title: Mapped[str] = mapped_column(String(500))
    content: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_notes_owner_id_id", "owner_id", "id"),)


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
