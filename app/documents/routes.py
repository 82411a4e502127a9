"""HTTP for documents."""

import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.accepted import accepted, answer
from app.api.auth import User
from app.api.deps import (
    LedgerDep,
    OnceDep,
    PageDep,
    QueueDep,
    ReadDep,
    ResourcesDep,
    SessionDep,
    UserDep,
    owner_of,
)
from app.api.schemas import problems, starts_work
from app.blobs import Blobs
from app.core.errors import Conflict, NotFound, Unavailable
from app.documents import chunks, store
from app.documents.generations import live_pages
from app.documents.jobs import PurgeDocument, ask_for_extraction
from app.documents.models import Document, DocumentStatus
from app.documents.schemas import (
    ChunkList,
    ChunkView,
    DocumentList,
    DocumentView,
    PageList,
    PageView,
    UploadForm,
)
from app.documents.uploads import FIELD, Upload, receive
from app.embedding import spaces
from app.jobs.ledger import Ledger
from app.jobs.queue import JobQueue

log = logging.getLogger(__name__)
router = APIRouter(prefix="/documents", tags=["documents"])

_TIDY_SECONDS = 1.0  # for removing what a refused upload left; then it stays
_DELETE_SECONDS = 4.0  # for the deletion's transaction and its repetitions
_KNOWN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The same bytes again: the same document, and no new work"}
}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": UploadForm.model_json_schema()
                | {"properties": {FIELD: {"type": "string", "contentMediaType": "application/pdf"}}}
            }
        },
    }
}


@dataclass(slots=True)
class _Stored:
    """The blob of this request, until a committed row names it."""

    sha256: str | None = None
    named: bool = False


async def _stored(resources: ResourcesDep) -> AsyncGenerator[_Stored]:
    """Outlives the request's transaction, and removes the blob if that did not keep it."""
    stored, committed = _Stored(), False
    try:
        yield stored
        committed = True
    finally:
        if stored.sha256 is not None and not (committed and stored.named):
            await _tidy(resources, stored.sha256)


async def _tidy(resources: ResourcesDep, sha256: str) -> None:
    try:
        await store.drop_blob(resources.db, resources.blobs, sha256, patience=_TIDY_SECONDS)
    except Exception as error:  # noqa: BLE001 -- the request has its own answer
        log.warning("blob left behind", extra={"sha256": sha256, "error": repr(error)[:300]})


_StoredDep = Annotated[_Stored, Depends(_stored, scope="function")]


@router.post(
    "", status_code=202, responses=starts_work(413, 415, 507) | _KNOWN, openapi_extra=_FORM
)
async def upload_document(
    request: Request,
    resources: ResourcesDep,
    user: UserDep,
    queue: QueueDep,
    stored: _StoredDep,
    session: SessionDep,
    once: OnceDep,
) -> Response:
    """Store a PDF (multipart field `file`) and read its text in the background.

    The same bytes again are the same document: 200, or 202 and a new run if it had failed.
    """
    limit_bytes = resources.settings.max_upload_bytes
    upload = await receive(request, resources.blobs, limit_bytes)
    stored.sha256 = upload.blob.sha256

    async def work() -> Response:
        done = await _keep(session, queue, resources.blobs, user, upload)
        stored.named = True
        return done

    return await once.answer(session, upload.fingerprint, work)


async def _keep(
    session: AsyncSession, queue: JobQueue, blobs: Blobs, user: User, upload: Upload
) -> Response:
    """The upload's document: a new one, or the one that has these bytes."""
    await store.lock_blob(session, upload.blob.sha256)
    while True:
        document = await store.add(session, user.id, upload.filename, upload.blob)
        known = None
        if document is None:
            known = await store.same_bytes(session, user.id, upload.blob.sha256)
        if document is not None or known is not None:
            break
        # Deleted between the two statements: insert it after all.
    if not await blobs.has(upload.blob.sha256):
        raise Unavailable("the same file is just being deleted; send it again", retry_after=1)
    if document is not None:
        message = "The document is stored and will be read."
    elif known is not None and known.status == DocumentStatus.FAILED:
        document, message = known, "The document is known, had failed, and will be read again."
    else:
        assert known is not None
        return _known(known)
    job = await ask_for_extraction(session, queue, document)
    return accepted(job, message, document_id=document.id)


def _known(document: Document) -> Response:
    newest = document.job_ids[0] if document.job_ids else None
    body = {
        "message": "The document is known.",
        "status": document.status,
        "task_id": newest,
        "job_id": newest,
        "document_id": document.id,
    }
    return answer(body, headers={"Location": f"/documents/{document.id}"})


@router.get("")
async def list_documents(session: ReadDep, user: UserDep, page: PageDep) -> DocumentList:
    """The caller's documents, newest first."""
    rows, total = await store.newest(session, owner_of(user), limit=page.limit, offset=page.offset)
    return DocumentList(items=[DocumentView.of(row) for row in rows], total=total)


@router.get("/{document_id}", responses=problems(404))
async def show_document(document_id: UUID, session: ReadDep, user: UserDep) -> DocumentView:
    """One document."""
    return DocumentView.of(await store.one(session, document_id, owner_of(user)))


@router.get("/{document_id}/pages", responses=problems(404))
async def list_pages(document_id: UUID, session: ReadDep, user: UserDep, page: PageDep) -> PageList:
    """The document's pages in order; none until a run has ended well."""
    document = await store.one(session, document_id, owner_of(user))
    if document.live_generation is None:
        return PageList(items=[], total=0)
    rows = await live_pages(session, document_id, limit=page.limit, offset=page.offset)
    return PageList(items=[PageView.of(row) for row in rows], total=document.page_count or 0)


@router.get("/{document_id}/chunks", responses=problems(404))
async def list_chunks(
    document_id: UUID, session: ReadDep, user: UserDep, page: PageDep
) -> ChunkList:
    """The document's chunks in order; none until a run has ended well."""
    document = await store.one(session, document_id, owner_of(user))
    rows = await chunks.live(session, document_id, limit=page.limit, offset=page.offset)
    return ChunkList(items=[ChunkView.of(row) for row in rows], total=document.chunk_count)


@router.post("/{document_id}/reindex", status_code=202, responses=starts_work(404))
async def reindex_document(
    document_id: UUID, session: SessionDep, user: UserDep, queue: QueueDep, once: OnceDep
) -> Response:
    """Read the document again. What is there stays readable until the new run has ended well."""

    async def work() -> Response:
        document = await store.one(session, document_id, owner_of(user))
        job = await ask_for_extraction(session, queue, document)
        message = "The document will be read again." if job.new else "The document is being read."
        return accepted(job, message, document_id=document_id)

    return await once.answer(session, {}, work)


@router.delete("/{document_id}", status_code=204, responses=problems(404))
async def delete_document(
    document_id: UUID, resources: ResourcesDep, user: UserDep, queue: QueueDep, ledger: LedgerDep
) -> Response:
    """Delete the document: at once nobody sees it, and a run that works on it stops."""

    async def work(session: AsyncSession) -> None:
        document = await store.one(session, document_id, owner_of(user))
        await store.remove(session, document_id)
        await spaces.changed(session, chunks.SPACE)
        await _stop_jobs(session, ledger, document.job_ids)
        purge = PurgeDocument(document_id=document_id, sha256=document.sha256)
        await queue.enqueue(session, purge)

    # Repeated by `run` when it meets a job's own change half-way and PostgreSQL ends one of them.
    await resources.db.run(work, patience=_DELETE_SECONDS)
    return Response(status_code=204)


async def _stop_jobs(session: AsyncSession, ledger: Ledger, job_ids: list[str]) -> None:
    for job_id in job_ids:
        try:
            await ledger.cancel(session, UUID(job_id), None)
        except (Conflict, NotFound):  # ended, or forgotten long ago
            continue
