"""The tables of backups.

What an index run replaces carries `generation`. A row is there for readers only through its
backup's pointer (`BackupArtifact.live_generation`), so bulk tables need no foreign keys: rows
that no pointer leads to are dead, and are removed in batches. Their keys are those of the source
(`ROWID` of `chat` and `message`), which the parser promises to give once each.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.columns import Id, Json, UtcDateTime, new_id
from app.core.db import Base


class BackupStatus(StrEnum):
    """Where a backup stands; each goes with a state of its job (`jobs.follow_job`)."""

    REGISTERED = "REGISTERED"
    INDEXING = "INDEXING"
    INDEXED = "INDEXED"
    FAILED = "FAILED"


class Backup(Base):
    """One backup that somebody named, and what was found out about it."""

    __tablename__ = "backups"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    owner_id: Mapped[UUID | None] = mapped_column(Id)  # None: nobody in particular (the operator)
    confined_to: Mapped[str | None] = mapped_column(
        Text
    )  # a user's folder; None: named by an admin
    name: Mapped[str] = mapped_column(String(200))
    path: Mapped[str | None] = mapped_column(Text)  # a folder; None: `artifacts` is given
    artifacts: Mapped[dict[str, str] | None] = mapped_column(Json)  # logical name: path
    status: Mapped[str] = mapped_column(String(16), default=BackupStatus.REGISTERED.value)
    job_id: Mapped[UUID | None] = mapped_column(Id)  # the newest job, or the one that is running
    device: Mapped[str | None] = mapped_column(Text)
    ios_version: Mapped[str | None] = mapped_column(Text)
    udid: Mapped[str | None] = mapped_column(Text)
    backed_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    warnings: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    indexed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("status IN ('REGISTERED', 'INDEXING', 'INDEXED', 'FAILED')", name="status"),
        CheckConstraint("(path IS NULL) <> (artifacts IS NULL)", name="path_or_artifacts"),
        Index("ix_backups_owner", "owner_id", text("created_at DESC")),
    )


class BackupArtifact(Base):
    """The pointer of one backup and domain: which generation of its rows readers see."""

    __tablename__ = "backup_artifacts"

    backup_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    domain: Mapped[str] = mapped_column(String(32), primary_key=True)
    live_generation: Mapped[int | None] = mapped_column(Integer)  # None: nothing was ever whole
    next_generation: Mapped[int] = mapped_column(Integer)  # the newest one that was begun
    fingerprint: Mapped[str | None] = mapped_column(
        String(64)
    )  # of what the live one was read from
    counts: Mapped[dict[str, int]] = mapped_column(Json, default=dict)  # of the live one
    warnings: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)  # likewise


class MessageConversation(Base):
    """A chat of the Messages app."""

    __tablename__ = "message_conversations"

    backup_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # chat.ROWID
    guid: Mapped[str] = mapped_column(Text)
    service: Mapped[str | None] = mapped_column(Text)
    is_group: Mapped[bool]
    title: Mapped[str | None] = mapped_column(Text)
    participants: Mapped[list[str]] = mapped_column(Json)  # handles
    message_count: Mapped[int] = mapped_column(BigInteger)
    last_message_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    person_key: Mapped[str | None] = mapped_column(Text)  # equal for one person's several services

    # Chats are few: sorting those of one backup costs less than an index of their times.
    __table_args__ = ({"sqlite_with_rowid": False},)


class Message(Base):
    """A message that is no reaction; reactions are folded onto what they react to."""

    __tablename__ = "messages"

    backup_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # message.ROWID
    guid: Mapped[str] = mapped_column(Text)
    conversation: Mapped[int | None] = mapped_column(BigInteger)  # MessageConversation.number
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    is_from_me: Mapped[bool]
    sender: Mapped[str | None] = mapped_column(Text)
    service: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(32))
    text: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    reply_to_guid: Mapped[str | None] = mapped_column(Text)
    edited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    edits: Mapped[list[Any] | None] = mapped_column(Json)  # [text, at]; None: never edited
    unsent: Mapped[bool]
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    effect: Mapped[str | None] = mapped_column(Text)
    error_code: Mapped[int | None] = mapped_column(BigInteger)
    reactions: Mapped[list[Any] | None] = mapped_column(
        Json
    )  # [kind, emoji, sender, is_from_me, at]
    event: Mapped[list[Any] | None] = mapped_column(Json)  # [what, handle, title]
    link: Mapped[list[Any] | None] = mapped_column(Json)  # [url, title, summary]

    __table_args__ = (
        Index("ix_messages_list", "backup_id", "generation", "sent_at", "number"),
        Index(
            "ix_messages_conversation",
            "backup_id",
            "generation",
            "conversation",
            "sent_at",
            "number",
        ),
        {"sqlite_with_rowid": False},
    )


class MessageAttachment(Base):
    """A file sent with a message."""

    __tablename__ = "message_attachments"

    backup_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True)
    message: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # Message.number
    position: Mapped[int] = mapped_column(Integer, primary_key=True)  # in the message, from 0
    guid: Mapped[str | None] = mapped_column(Text)
    filename: Mapped[str | None] = mapped_column(Text)
    mime_type: Mapped[str | None] = mapped_column(Text)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    file_id: Mapped[str | None] = mapped_column(String(40))
    file_present: Mapped[bool | None]
    is_sticker: Mapped[bool]

    __table_args__ = ({"sqlite_with_rowid": False},)


BULK: tuple[type[Base], ...] = (MessageAttachment, Message, MessageConversation)
