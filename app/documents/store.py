"""All SQL on the tables of documents: plain functions, the session first, nobody here commits.

Locks are taken in one order: the job's row, then the document's. Steps of a running job hold the
document with KEY SHARE, which waits for nothing but its deletion.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    case,
    delete,
    func,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.blobs import Blob, Blobs
from app.core.columns import now
from app.core.db import Database, on_sqlite
from app.core.errors import AppError, NotFound
from app.documents.models import Document, DocumentStatus

_JOBS_KEPT = 20  # ids on the row; the newest ones


class DocumentGone(AppError):
    """The document was deleted; whatever works on it stops."""

    code = "document_deleted"


# ------------------------------------------------------------------------------- documents


async def add(session: AsyncSession, owner_id: UUID, filename: str, blob: Blob) -> Document | None:
    """Insert a document, or None when the owner has one with the same bytes."""
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    statement = dialect.insert(Document).values(
        owner_id=owner_id,
        filename=filename,
        sha256=blob.sha256,
        size_bytes=blob.size_bytes,
        status=DocumentStatus.UPLOADED,
        job_ids=[],
        created_at=now(),
        updated_at=now(),
    )
    statement = statement.on_conflict_do_nothing(index_elements=["owner_id", "sha256"])
    document: Document | None = await session.scalar(statement.returning(Document))
    return document


async def same_bytes(session: AsyncSession, owner_id: UUID, sha256: str) -> Document | None:
    """The owner's document with these bytes."""
    mine = (Document.owner_id == owner_id, Document.sha256 == sha256)
    found: Document | None = await session.scalar(_fresh(select(Document).where(*mine)))
    return found


async def one(session: AsyncSession, document_id: UUID, owner_id: UUID | None) -> Document:
    """A document of `owner_id` (None: of anybody). Raises `NotFound`."""
    statement = select(Document).where(Document.id == document_id, _seen_by(owner_id))
    found: Document | None = await session.scalar(_fresh(statement))
    if found is None:
        raise NotFound("there is no such document")
    return found


async def newest(
    session: AsyncSession, owner_id: UUID | None, *, limit: int, offset: int
) -> tuple[list[Document], int]:
    """One part of the owner's documents, newest first, and how many there are in all."""
    mine = _seen_by(owner_id)
    total = await session.scalar(select(func.count()).select_from(Document).where(mine))
    statement = select(Document).where(mine).order_by(Document.id.desc())
    rows = await session.scalars(statement.limit(limit).offset(offset))
    return list(rows), total or 0


async def asked(session: AsyncSession, document_id: UUID, job_id: UUID) -> None:
    """Note that a new run was asked for. Raises `NotFound` when the document is gone.

    The document goes back to `uploaded`, or stays `ready` while a generation is live.
    """
    await note_job(session, document_id, job_id)
    await queued(session, document_id)


async def note_job(session: AsyncSession, document_id: UUID, job_id: UUID) -> None:
    """Put a job at the head of the document's. Raises `NotFound` when the document is gone."""
    statement = select(Document.job_ids).where(Document.id == document_id)
    ids = await session.scalar(statement.with_for_update(key_share=True))
    if ids is None:
        raise NotFound("there is no such document")
    await change(session, document_id, job_ids=[str(job_id), *ids][:_JOBS_KEPT])


async def queued(session: AsyncSession, document_id: UUID) -> None:
    """Move the status of a document that waits for a run."""
    await change(session, document_id, **_without_generation(DocumentStatus.UPLOADED, None, None))


async def indexing(session: AsyncSession, document_id: UUID) -> None:
    """Move the status of a document that a run has begun to work on."""
    changed = _without_generation(DocumentStatus.INDEXING, None, None)
    await change(session, document_id, **(changed | {"status": DocumentStatus.INDEXING}))


async def ready(session: AsyncSession, document_id: UUID) -> None:
    """Move the status of a document whose run has ended well, unless it was overtaken."""
    await change(session, document_id, **_without_generation(DocumentStatus.INDEXING, None, None))


async def not_read(
    session: AsyncSession, document_id: UUID, code: str | None, message: str | None
) -> None:
    """Move the status of a document whose run failed; an older generation stays ready as it was."""
    await change(session, document_id, **_without_generation(DocumentStatus.FAILED, code, message))


async def remove(session: AsyncSession, document_id: UUID) -> None:
    """Delete the document's row: at once nobody sees it. Raises `NotFound`.

    Waits for a step that is under way; every later one finds the document gone.
    """
    statement = delete(Document).where(Document.id == document_id).returning(Document.id)
    statement = statement.execution_options(synchronize_session=False)
    if await session.scalar(statement) is None:
        raise NotFound("there is no such document")


# ------------------------------------------------------------------------------------ runs


async def hold(session: AsyncSession, document_id: UUID) -> None:
    """Keep the document from being deleted until this transaction ends. Raises `DocumentGone`."""
    statement = select(Document.id).where(Document.id == document_id)
    locked = statement.with_for_update(read=True, key_share=True)
    if await session.scalar(locked) is None:
        raise gone()


async def standing(session: AsyncSession, document_id: UUID) -> Document:
    """A document as a job sees it. Raises `DocumentGone`."""
    found: Document | None = await session.scalar(
        _fresh(select(Document).where(Document.id == document_id))
    )
    if found is None:
        raise gone()
    return found


# ----------------------------------------------------------------------------------- blobs


async def lock_blob(session: AsyncSession, sha256: str) -> None:
    """Wait until nobody else decides about this blob; until the transaction ends.

    An upload stores the blob first and its row later, a purge looks for rows first and removes
    the blob later. SQLite's writer lock is such a lock already.
    """
    if on_sqlite(session):
        await session.connection()
        return
    key = "document-blob:" + sha256
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:k, 0))"), {"k": key})


async def drop_blob(db: Database, blobs: Blobs, sha256: str, *, patience: float = 30.0) -> None:
    """Remove a blob, in a transaction of its own, unless a document of any owner has its bytes.

    `patience`: seconds for which a database that is away is waited for.
    """

    async def work(session: AsyncSession) -> None:
        await lock_blob(session, sha256)
        statement = select(Document.id).where(Document.sha256 == sha256).limit(1)
        if await session.scalar(statement) is None:
            await blobs.delete(sha256)

    await db.run(work, patience=patience)


# ------------------------------------------------------------------------------------------


def _seen_by(owner_id: UUID | None) -> ColumnElement[bool]:
    return true() if owner_id is None else Document.owner_id == owner_id


def _fresh(statement: Any) -> Any:
    return statement.execution_options(populate_existing=True)


def gone() -> DocumentGone:
    """What a job is told whose document was deleted."""
    return DocumentGone("The document was deleted.")


def _without_generation(
    status: DocumentStatus, code: str | None, message: str | None
) -> dict[str, Any]:
    """These values for a document without a whole generation; `ready`, untouched, for any other."""
    none = Document.indexed_generation.is_(None)
    return {
        "status": case((none, status.value), else_=DocumentStatus.READY.value),
        "error_code": case((none, code), else_=Document.error_code),
        "error_message": case((none, message), else_=Document.error_message),
    }


async def change(session: AsyncSession, document_id: UUID, **values: Any) -> None:
    """Set columns of a document; one that is gone is left alone."""
    statement = update(Document).where(Document.id == document_id)
    values["updated_at"] = now()
    await session.execute(statement.values(**values).execution_options(synchronize_session=False))
