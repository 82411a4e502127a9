"""Documents as they go over the wire."""

from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from app.core.clock import wire
from app.documents.models import Chunk, Document, DocumentPage

_EXAMPLE_ID = "019aa7c2-5c1f-7b52-9d3e-3f8f6f0f2a11"


class DocumentView(BaseModel):
    """One PDF. The error is what is wrong with it as it stands, also when it is `ready`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": _EXAMPLE_ID,
                "filename": "report.pdf",
                "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "size_bytes": 48213,
                "status": "ready",
                "page_count": 12,
                "chunk_count": 31,
                "pages_without_text": 1,
                "needs_ocr": True,
                "error_code": None,
                "error_message": None,
                "jobs": [_EXAMPLE_ID],
                "created_at": "2026-11-21T09:30:00.000000Z",
                "updated_at": "2026-11-21T09:30:02.124816Z",
            }
        }
    )

    id: UUID
    filename: str
    sha256: str
    size_bytes: int
    status: str
    page_count: int | None
    chunk_count: int
    pages_without_text: int | None
    needs_ocr: bool
    error_code: str | None
    error_message: str | None
    jobs: list[UUID]
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, row: Document) -> Self:
        """The row as the API reports it."""
        return cls(
            id=row.id,
            filename=row.filename,
            sha256=row.sha256,
            size_bytes=row.size_bytes,
            status=row.status,
            page_count=row.page_count,
            chunk_count=row.chunk_count,
            pages_without_text=row.pages_without_text,
            needs_ocr=row.needs_ocr,
            error_code=row.error_code,
            error_message=row.error_message,
            jobs=[UUID(job_id) for job_id in row.job_ids],
            created_at=wire(row.created_at),
            updated_at=wire(row.updated_at),
        )


class DocumentList(BaseModel):
    """Part of the caller's documents, newest first."""

    items: list[DocumentView]
    total: int


class PageView(BaseModel):
    """One page; `error` says why it could not be read."""

    page_number: int
    text: str
    has_text: bool
    needs_ocr: bool
    error: str | None

    @classmethod
    def of(cls, row: DocumentPage) -> Self:
        """The row as the API reports it."""
        return cls(
            page_number=row.page_number,
            text=row.text,
            has_text=row.has_text,
            needs_ocr=row.needs_ocr,
            error=row.error,
        )


class PageList(BaseModel):
    """Part of a document's pages, in order."""

    items: list[PageView]
    total: int


class ChunkView(BaseModel):
    """A piece of one page: `page_text[char_start:char_end] == text`."""

    chunk_id: UUID
    page_number: int
    char_start: int
    char_end: int
    text: str

    @classmethod
    def of(cls, row: Chunk) -> Self:
        """The row as the API reports it."""
        return cls(
            chunk_id=row.id,
            page_number=row.page_number,
            char_start=row.char_start,
            char_end=row.char_end,
            text=row.text,
        )


class ChunkList(BaseModel):
    """Part of a document's chunks, in order."""

    items: list[ChunkView]
    total: int


class UploadForm(BaseModel):
    """The form of an upload, for the documentation; it is read as a stream (`uploads.py`)."""

    file: bytes
