"""The tables of documents.

A run of `ingest_extract` writes the pages of one generation; `documents.live_generation` says
which one readers see. Pages have no foreign key: a deleted document's are purged in batches.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.columns import Id, Json, UtcDateTime, new_id
from app.core.db import Base


class DocumentStatus(StrEnum):
    """Where a document stands; it moves in the transaction that moves its job."""

    UPLOADED = "uploaded"
    INDEXING = "indexing"
    READY = "ready"
    FAILED = "failed"


class Document(Base):
    """One PDF of one owner, and which generation of its pages is live."""

    __tablename__ = "documents"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    owner_id: Mapped[UUID] = mapped_column(Id)
    filename: Mapped[str] = mapped_column(String(255))
    sha256: Mapped[str] = mapped_column(String(64))  # also the name of the blob
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16))
    page_count: Mapped[int | None] = mapped_column(Integer)  # known once a run has begun
    pages_without_text: Mapped[int | None] = mapped_column(Integer)  # of the live generation
    needs_ocr: Mapped[bool] = mapped_column(server_default=text("false"))  # any live page does
    # What is wrong with the document as it stands; how a later run ended is told by its job.
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    live_generation: Mapped[int | None] = mapped_column(Integer)
    last_generation: Mapped[int] = mapped_column(Integer, server_default="0")  # handed to a run
    job_ids: Mapped[list[str]] = mapped_column(Json)  # newest first
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("status IN ('uploaded', 'indexing', 'ready', 'failed')", name="status"),
        UniqueConstraint("owner_id", "sha256"),
        Index("ix_documents_owner_id_id", "owner_id", "id"),
        Index("ix_documents_sha256", "sha256"),
    )


class DocumentPage(Base):
    """One page of one generation. The text comes last: flags are read without touching it."""

    __tablename__ = "document_pages"

    document_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True)
    page_number: Mapped[int] = mapped_column(Integer, primary_key=True)  # from 1, without gaps
    has_text: Mapped[bool]
    needs_ocr: Mapped[bool]
    error: Mapped[str | None] = mapped_column(Text)  # why this one page could not be read
    text: Mapped[str] = mapped_column(Text)
