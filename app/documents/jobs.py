"""Jobs on documents: reading a PDF, cutting and embedding its text, and tidying up.

POST /documents ─▶ ingest_extract ─▶ ingest_index ─▶ ready
                   pages             chunks, vectors
"""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.documents import generations, renewal, store
from app.documents.indexing import Indexing
from app.documents.models import Document
from app.documents.reading import extract, remove_pages, resumed
from app.jobs.context import JobContext
from app.jobs.queue import JobQueue
from app.jobs.spec import Change, JobArgs, job
from app.jobs.states import JobStatus
from app.jobs.store.insert import Stored

NAMED_PAGES = 20  # unreadable pages that the result names


class ExtractDocument(JobArgs, kind="ingest_extract"):
    """Read the text of every page of one document."""

    document_id: UUID

    def lane(self) -> str:
        """A document's jobs run one after another."""
        return lane_of(self.document_id)

    def unique_key(self) -> str:
        """The bytes never change, so a second request means the same run."""
        return str(self.document_id)


class IndexDocument(JobArgs, kind="ingest_index"):
    """Cut and embed the pages of one generation; asked for by the job that read them."""

    document_id: UUID
    generation: int

    def lane(self) -> str:
        """Behind the job that reads the pages, before whatever was asked for later."""
        return lane_of(self.document_id)

    def unique_key(self) -> str:
        """One generation is indexed once."""
        return f"{self.document_id}:{self.generation}"


class PurgeDocument(JobArgs, kind="document_purge"):
    """Remove what a deleted document left, and its blob when nobody else has it."""

    document_id: UUID
    sha256: str

    def lane(self) -> str:
        """Behind the run that the deletion stopped."""
        return lane_of(self.document_id)


class RenewDocuments(JobArgs, kind="documents_renew"):
    """Bring all documents up to this version's chunks and to the model that is set."""

    def unique_key(self) -> str:
        """One at a time."""
        return "documents"


def lane_of(document_id: UUID) -> str:
    """The lane of a document's jobs."""
    return f"document:{document_id}"


async def ask_for_extraction(session: AsyncSession, queue: JobQueue, document: Document) -> Stored:
    """Ask for a run, or find the one that is queued or running. Raises `NotFound`."""
    args = ExtractDocument(document_id=document.id)
    stored = await queue.enqueue(session, args, owner_id=document.owner_id)
    if stored.new:
        await store.asked(session, document.id, stored.id)
    return stored


async def follow_ingest(session: AsyncSession, change: Change) -> None:
    """Move the document's status with its job's; a deleted document has none."""
    document_id = UUID(change.args["document_id"])
    if change.status is JobStatus.RUNNING:
        await store.indexing(session, document_id)
    elif change.status is JobStatus.COMPLETED:
        if change.kind == IndexDocument.kind:  # the other one has a child, which goes on
            await store.ready(session, document_id)
    elif change.status.ended:
        await store.not_read(session, document_id, change.error_type, change.error_message)
    elif change.event == "queued":  # by a person's retry; any other wait leaves `indexing`
        await store.queued(session, document_id)


@job(function="ingest_extract", max_attempts=5, on_change=follow_ingest)
async def extract_document(ctx: JobContext, args: ExtractDocument) -> dict[str, Any]:
    """Write the document's pages as a new generation, a batch a step, then ask for its index.

    A second run of the same job goes on at the page after its last step, in the same generation,
    and asks for the index once. A new job writes a new generation; its pages are seen at once if
    the document has none that are indexed, else when the new ones are. Pages that cannot be read
    are counted as failed and named in the result. The document fails when it cannot be opened, or
    when nothing in it can be read: `no_text` (all pages are blank) or `page_errors` (some are
    damaged). One that needs OCR does not fail: it is ready and says so.
    """
    async with ctx.resources.db.reading() as session:
        document = await store.standing(session, args.document_id)
    generation = resumed(ctx.cursor, document)
    if generation is None or "next_job_id" not in ctx.cursor:
        generation = await extract(ctx, document)
        await _hand_over(ctx, document, generation)
    keep = {generation, document.indexed_generation or generation}
    await remove_pages(ctx, document.id, keep=keep)
    return await _result(ctx, document.id, generation)


@job(function="ingest_index", max_attempts=5, on_change=follow_ingest)
async def index_document(ctx: JobContext, args: IndexDocument) -> dict[str, Any]:
    """Cut the pages of one generation, embed what has no vector yet, then make all of it live.

    A second run of the same job goes on after its last step. A run over text that did not change
    embeds nothing: chunk ids are made of what they are, and their vectors stay. A generation that
    a newer one has overtaken is left alone.
    """
    async with ctx.resources.db.reading() as session:
        document = await store.standing(session, args.document_id)
    facts: dict[str, Any] = {"document_id": str(document.id)}
    if document.last_generation != args.generation:
        return facts | {"overtaken": True}
    return facts | await Indexing(ctx, document, args.generation).run()


@job(function="purge_document", max_attempts=5, maintenance=True)
async def purge_document(ctx: JobContext, args: PurgeDocument) -> dict[str, Any]:
    """Remove what a deleted document left, then its blob unless a document has the same bytes.

    A second run removes what the first one left.
    """
    await remove_pages(ctx, args.document_id, keep=())
    await renewal.remove_chunks(ctx, args.document_id, keep=())
    await store.drop_blob(ctx.resources.db, ctx.resources.blobs, args.sha256)
    return {"document_id": str(args.document_id)}


@job(function="renew_documents", max_attempts=5, maintenance=True)
async def renew_documents(ctx: JobContext, _args: RenewDocuments) -> dict[str, Any]:
    """Have documents ingested again whose chunks are of an older version, then switch the model.

    Where the model that is set is not the one that search asks, every chunk is embedded beside
    its old vector, and one transaction lets search ask the new one. A second run goes on where
    the first one stopped; with nothing to do it does nothing.
    """
    asked = 0
    async for batch in renewal.outdated(ctx.resources.db):
        async with ctx.resources.db.transaction() as session:
            for document in batch:
                asked += (await ask_for_extraction(session, ctx.queue, document)).new
    return {"documents": asked} | await renewal.switch_model(ctx)


async def _hand_over(ctx: JobContext, document: Document, generation: int) -> None:
    """The last step: the pages are whole, and the job that indexes them waits."""
    args = IndexDocument(document_id=document.id, generation=generation)
    async with ctx.step() as step:
        await store.hold(step.session, document.id)
        if document.indexed_generation is None:
            await generations.go_live(step.session, document.id, generation)
        else:
            _ = (await generations.tally(step.session, document.id, generation)).note
        child = await ctx.queue.enqueue(
            step.session, args, owner_id=document.owner_id, parent_id=ctx.job_id
        )
        await store.note_job(step.session, document.id, child.id)
        step.advance(cursor=step.cursor | {"next_job_id": str(child.id)})


async def _result(ctx: JobContext, document_id: UUID, generation: int) -> dict[str, Any]:
    next_job_id = ctx.cursor["next_job_id"]
    result: dict[str, Any] = {"document_id": str(document_id), "next_job_id": next_job_id}
    if ctx.failed:
        async with ctx.resources.db.reading() as session:
            pages = await generations.failed_pages(session, document_id, generation, NAMED_PAGES)
        result |= {"failed_pages": pages}
    return result
