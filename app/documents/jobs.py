"""Jobs on documents: reading a PDF's pages, and removing what a deleted document left."""

from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Invalid, Unavailable
from app.core.processes import ChildDied, ChildPool
from app.documents import generations, store
from app.documents.extraction import pdf_children
from app.documents.models import Document
from app.jobs.context import JobContext
from app.jobs.queue import JobQueue
from app.jobs.spec import Change, JobArgs, job
from app.jobs.states import JobStatus
from app.jobs.store.insert import Stored

BATCH_PAGES = 100  # pages per step: one commit, one progress write, the most a crash repeats
DEADLY_PAGES = 3  # that kill their child; with the next one the whole document counts as hostile
NAMED_PAGES = 20  # unreadable pages that the result names

Note = tuple[str | None, str | None]  # error_code and error_message of a document that is ready


class ExtractDocument(JobArgs, kind="ingest_extract"):
    """Read the text of every page of one document."""

    document_id: UUID

    def lane(self) -> str:
        """A document's jobs run one after another."""
        return lane_of(self.document_id)

    def unique_key(self) -> str:
        """The bytes never change, so a second request means the same run."""
        return str(self.document_id)


class PurgeDocument(JobArgs, kind="document_purge"):
    """Remove the pages of a deleted document, and its blob when nobody else has it."""

    document_id: UUID
    sha256: str

    def lane(self) -> str:
        """Behind the run that the deletion stopped."""
        return lane_of(self.document_id)


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


async def follow_extraction(session: AsyncSession, change: Change) -> None:
    """Move the document's status with its job's; a deleted document has none."""
    document_id = UUID(change.args["document_id"])
    if change.status is JobStatus.RUNNING:
        await store.indexing(session, document_id)
    elif change.status is JobStatus.COMPLETED:
        await store.ready(session, document_id)
    elif change.status.ended:
        await store.not_read(session, document_id, change.error_type, change.error_message)
    elif change.event == "queued":  # by a person's retry; any other wait leaves `indexing`
        await store.queued(session, document_id)


@job(function="ingest_extract", max_attempts=5, on_change=follow_extraction)
async def extract_document(ctx: JobContext, args: ExtractDocument) -> dict[str, Any]:
    """Write the document's pages as a new generation, `BATCH_PAGES` a step, then make it live.

    A second run of the same job goes on at the page after its last step, in the same generation;
    a new job writes a new generation, and readers see the old one until the last step. Pages that
    cannot be read are counted as failed and named in the result. The document fails when it
    cannot be opened, or when nothing in it can be read: `no_text` (all pages are blank) or
    `page_errors` (some are damaged). One that needs OCR does not fail: it is ready and says so.
    """
    async with ctx.resources.db.reading() as session:
        document = await store.standing(session, args.document_id)
    generation = _resumed(ctx.cursor, document)
    if generation is None or generation != document.live_generation:
        generation = await _extract(ctx, document)
        await _go_live(ctx, document.id, generation)
    await _remove_pages(ctx, document.id, keep=[generation])
    return await _result(ctx, document.id, generation)


@job(function="purge_document", max_attempts=5, maintenance=True)
async def purge_document(ctx: JobContext, args: PurgeDocument) -> dict[str, Any]:
    """Remove every page of a deleted document, then its blob unless a document has the same bytes.

    A second run removes what the first one left.
    """
    await _remove_pages(ctx, args.document_id, keep=())
    await store.drop_blob(ctx.resources.db, ctx.resources.blobs, args.sha256)
    return {"document_id": str(args.document_id)}


class _Run:
    """One reading of one file, from wherever the last one stopped."""

    def __init__(
        self, ctx: JobContext, document: Document, children: ChildPool, path: Path
    ) -> None:
        self._ctx, self._document, self._children, self._path = ctx, document, children, path
        self.generation = _resumed(ctx.cursor, document)  # None until the file is open
        self._page = 0 if self.generation is None else int(ctx.cursor["page"])  # the last stored
        self._page_count = 0 if self.generation is None else document.page_count or 0

    async def read_all(self) -> int:
        """Store every page that is still missing; the generation they belong to.

        A page that kills the child costs two children and is stored as unreadable. A document of
        one page, or with more such pages than `DEADLY_PAGES`, is given up as hostile.
        """
        deadly = 0
        while self.generation is None or self._page < self._page_count:
            try:
                await self._read(BATCH_PAGES)
                break
            except ChildDied as died:
                deadly += 1
                if self.generation is None or self._page_count == 1 or deadly > DEADLY_PAGES:
                    raise _for_the_row(died) from died
                await self._step_over()
        if self.generation is None:
            raise Unavailable("The process that reads PDFs gave no answer.")
        return self.generation

    async def _read(self, batch_pages: int, *, batches: int | None = None) -> None:
        """Store pages from the next one on, at most so many batches."""
        request = {"path": str(self._path), "first_page": self._page + 1}
        request |= {"batch_pages": batch_pages}
        async with aclosing(self._children.stream(request)) as frames:
            stored = 0
            async for kind, payload in frames:
                if kind == "head":
                    await self._begin(payload["page_count"])
                    continue
                await self._save(payload)
                stored += 1
                if stored == batches:
                    return

    async def _step_over(self) -> None:
        """Go on one by one to the page that killed the child, and store it as unreadable."""
        try:
            await self._read(1, batches=BATCH_PAGES)
        except ChildDied as died:
            if died.cause == "start":
                raise _for_the_row(died) from died
            await self._save([(self._page + 1, "", False, str(died))])

    async def _begin(self, page_count: int) -> None:
        """Open a generation, unless an earlier attempt has."""
        if self.generation is not None:
            return
        stale = self._ctx.cursor is not None  # of a generation that a later job has replaced
        document_id = self._document.id
        async with self._ctx.step(total=page_count, stage="extracting", restart=stale) as step:
            generation = await generations.begin(step.session, document_id, page_count)
            step.advance(cursor={"generation": generation, "page": 0})
        self.generation, self._page_count = generation, page_count
        keep = {generation, self._document.live_generation or 0}
        await _remove_pages(self._ctx, document_id, keep=keep)

    async def _save(self, pages: Sequence[generations.Page]) -> None:
        """One step: a batch of pages, in order."""
        assert self.generation is not None
        failed = sum(error is not None for *_, error in pages)
        last = pages[-1][0]
        async with self._ctx.step() as step:
            await store.hold(step.session, self._document.id)
            await generations.save(step.session, self._document.id, self.generation, pages)
            cursor = {"generation": self.generation, "page": last}
            step.advance(len(pages) - failed, failed=failed, cursor=cursor)
        self._page = last


def _resumed(cursor: Any, document: Document) -> int | None:
    """The generation that an earlier attempt was writing, unless a later job has begun one."""
    if cursor is None or cursor["generation"] != document.last_generation:
        return None
    return document.last_generation


async def _extract(ctx: JobContext, document: Document) -> int:
    async with AsyncExitStack() as stack:
        try:
            path = await stack.enter_async_context(ctx.resources.blobs.path(document.sha256))
        except FileNotFoundError as error:
            raise Invalid("The file is gone from the blob store.", code="blob_missing") from error
        children = await stack.enter_async_context(pdf_children(1))
        return await _Run(ctx, document, children, path).read_all()


async def _go_live(ctx: JobContext, document_id: UUID, generation: int) -> None:
    """The last step: from now on readers see this generation."""
    async with ctx.step() as step:
        await store.hold(step.session, document_id)
        counted = await generations.tally(step.session, document_id, generation)
        note = _verdict(counted)
        await generations.go_live(step.session, document_id, generation, counted, note)


def _verdict(counted: generations.Tally) -> Note:
    """What is wrong with a document that is ready. Raises `Invalid` for one that cannot be."""
    unreadable = f"{counted.failed} of {counted.pages} pages could not be read."
    if not counted.readable and not counted.needing_ocr:
        if counted.failed:
            raise Invalid(f"The PDF has no text; {unreadable}", code="page_errors")
        raise Invalid("The PDF has neither text nor pictures of text.", code="no_text")
    if counted.failed:
        return "page_errors", unreadable
    if not counted.readable:
        return "needs_ocr", "The pages are pictures of text."
    return None, None


async def _remove_pages(ctx: JobContext, document_id: UUID, *, keep: Collection[int]) -> None:
    """Remove the pages of all generations but those, batch by batch."""
    while True:
        async with ctx.resources.db.reading() as session:
            dead = await generations.first_dead(session, document_id, keep)
        if dead is None:
            return
        async with ctx.step() as step:
            await generations.remove_batch(step.session, document_id, *dead)


async def _result(ctx: JobContext, document_id: UUID, generation: int) -> dict[str, Any]:
    result: dict[str, Any] = {"document_id": str(document_id), "next_job_id": None}
    if ctx.failed:
        async with ctx.resources.db.reading() as session:
            pages = await generations.failed_pages(session, document_id, generation, NAMED_PAGES)
        result |= {"failed_pages": pages}
    return result


def _for_the_row(died: ChildDied) -> Exception:
    """A child that could not start is not the file's fault; any other death is."""
    if died.cause == "start":
        return Unavailable("The process that reads PDFs could not be started.")
    return died
