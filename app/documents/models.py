"""The tables of documents.

A run of `ingest_extract` writes the pages of one generation, `ingest_index` its chunks. Readers
see the pages of `documents.live_generation` and the chunks of `documents.indexed_generation`, which
is the same one or, before the first run of `ingest_index` has ended, none. A chunk's id is made of
what it is, so the same text at the same place keeps its vectors from one generation to the next.
Nothing has a foreign key: what a deleted document leaves is purged in batches.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ARRAY,
    DDL,
    BigInteger,
    CheckConstraint,
    Index,
    Integer,
    SmallInteger,
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
from app.core.vectors import HalfVector


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
    title: Mapped[str | None] = mapped_column(Text)  # what the PDF itself says, of the newest run
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
    indexed_generation: Mapped[int | None] = mapped_column(Integer)  # whose chunks readers see
    chunk_count: Mapped[int] = mapped_column(Integer, server_default="0")  # of those
    chunker: Mapped[int | None] = mapped_column(SmallInteger)  # the version that cut them
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


class Chunk(Base):
    """A piece of one page of one generation, as search and citations use it."""

    __tablename__ = "chunks"

    seq: Mapped[int] = mapped_column(BigSerial, primary_key=True)  # the rowid of the text indexes
    id: Mapped[UUID] = mapped_column(Id)  # of document, place, text and chunker; see `indexing`
    document_id: Mapped[UUID] = mapped_column(Id)
    generation: Mapped[int] = mapped_column(Integer)
    position: Mapped[int] = mapped_column(Integer)  # in the document, from 0, without gaps
    page_number: Mapped[int] = mapped_column(Integer)
    char_start: Mapped[int] = mapped_column(Integer)  # in the page's text
    char_end: Mapped[int] = mapped_column(Integer)
    title: Mapped[str] = mapped_column(Text)  # the document's; searched and embedded with the text
    text: Mapped[str] = mapped_column(Text)
    # PostgreSQL: its words, and every three characters as a number. SQLite has FTS5 for both.
    words: Mapped[Any] = mapped_column(Text().with_variant(TSVECTOR(), "postgresql"), nullable=True)
    pieces: Mapped[Any] = mapped_column(
        Text().with_variant(ARRAY(Integer), "postgresql"), nullable=True
    )

    __table_args__ = (
        UniqueConstraint("document_id", "generation", "position"),
        Index("ix_chunks_id", "id"),
        Index("ix_chunks_words", "words", postgresql_using="gin").ddl_if("postgresql"),
        Index("ix_chunks_pieces", "pieces", postgresql_using="gin").ddl_if("postgresql"),
        {"sqlite_autoincrement": True},
    )


class ChunkEmbedding(Base):
    """The vector of a chunk by one model; `embedding_models` has the rest of its identity."""

    __tablename__ = "chunk_embeddings"

    model_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    chunk_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    document_id: Mapped[UUID] = mapped_column(Id)
    chunker: Mapped[int] = mapped_column(SmallInteger)  # the version that cut its text
    vector: Mapped[NDArray[np.float32]] = mapped_column(HalfVector)

    __table_args__ = (Index("ix_chunk_embeddings_document_id", "document_id"),)


# SQLite's text indexes over `chunks`: words by their stems, and every three characters.
_TEXT_INDEX = (
    """CREATE VIRTUAL TABLE <name> USING fts5(title, text,
      content='chunks', content_rowid='seq', tokenize='<tokenizer>')""",
    """CREATE TRIGGER <name>_added AFTER INSERT ON chunks BEGIN
      INSERT INTO <name> (rowid, title, text) VALUES (new.seq, new.title, new.text); END""",
    """CREATE TRIGGER <name>_removed AFTER DELETE ON chunks BEGIN
      INSERT INTO <name> (<name>, rowid, title, text)
      VALUES ('delete', old.seq, old.title, old.text); END""",
)
_TOKENIZERS = {
    "chunk_words": "porter unicode61 remove_diacritics 2",
    "chunk_pieces": "trigram",
}
TEXT_INDEXES = tuple(
    statement.replace("<name>", name).replace("<tokenizer>", tokenizer)
    for name, tokenizer in _TOKENIZERS.items()
    for statement in _TEXT_INDEX
)

for _statement in TEXT_INDEXES:
    event.listen(
        Chunk.__table__,
        "after_create",
        DDL(_statement).execute_if(dialect="sqlite"),  # type: ignore[no-untyped-call]
    )
