"""The tables of backups: the backups themselves, what is live of each, and the search index.

What is indexed from a backup is in the tables of `app.backups.items`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.core.columns import BigSerial, Id, Json, UtcDateTime, new_id
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
    encrypted: Mapped[bool | None]  # None: nobody has looked yet
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
    )  # of what the live one was made from
    counts: Mapped[dict[str, int]] = mapped_column(Json, default=dict)  # of the live one
    warnings: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)  # likewise


class ArtifactSearchIndex(Base):
    """One item of a backup as search sees it, whatever it is.

    Filled from the tables of `app.backups.items` when those of a generation are whole, so that the text
    index does not slow their loading down. Text holds no reactions, no U+FFFC and no HTML.
    """

    __tablename__ = "artifact_search_index"

    id: Mapped[int] = mapped_column(BigSerial, primary_key=True)  # the rowid of the text index
    backup_id: Mapped[UUID] = mapped_column(Id)
    domain: Mapped[str] = mapped_column(String(32))  # of `BackupArtifact`
    generation: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(BigInteger)  # of the item in its table; see `item_ids`
    kind: Mapped[str] = mapped_column(String(32))
    title: Mapped[str | None] = mapped_column(Text)
    text: Mapped[str | None] = mapped_column(Text)
    person: Mapped[str | None] = mapped_column(Text)
    timestamp: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # PostgreSQL: the words of it all. SQLite: what of it is not plain ASCII, folded; the words are
    # in the FTS5 table beside this one.
    terms: Mapped[Any] = mapped_column(Text().with_variant(TSVECTOR(), "postgresql"), nullable=True)

    __table_args__ = (
        UniqueConstraint("backup_id", "domain", "generation", "number"),
        Index("ix_artifact_search_index_terms", "terms", postgresql_using="gin").ddl_if(
            "postgresql"
        ),
    )


TEXT_INDEX_SQLITE = (
    """CREATE VIRTUAL TABLE artifact_search_fts USING fts5(title, text, person, terms,
      content='artifact_search_index', content_rowid='id',
      tokenize='porter unicode61 remove_diacritics 2')""",
    """CREATE TRIGGER artifact_search_added AFTER INSERT ON artifact_search_index BEGIN
      INSERT INTO artifact_search_fts (rowid, title, text, person, terms)
      VALUES (new.id, iif(new.kind LIKE '%message', NULL, new.title), new.text, new.person, new.terms); END""",
    """CREATE TRIGGER artifact_search_removed AFTER DELETE ON artifact_search_index BEGIN
      INSERT INTO artifact_search_fts (artifact_search_fts, rowid, title, text, person, terms)
      VALUES ('delete', old.id, iif(old.kind LIKE '%message', NULL, old.title), old.text, old.person, old.terms); END""",
)

for statement in TEXT_INDEX_SQLITE:
    event.listen(
        ArtifactSearchIndex.__table__,
        "after_create",
        DDL(statement.replace("%", "%%")).execute_if(dialect="sqlite"),  # type: ignore[no-untyped-call]
    )
