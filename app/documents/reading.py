"""One reading of a PDF: from the child's batches into a new generation of pages."""

from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any
from uuid import UUID

from app.core.errors import Invalid, Unavailable
from app.core.processes import ChildDied, ChildPool
from app.documents import generations, store
from app.documents.extraction import pdf_children
from app.documents.models import Document
from app.jobs.context import JobContext

BATCH_PAGES = 100  # pages per step: one commit, one progress write, the most a crash repeats
DEADLY_PAGES = 3  # that kill their child; with the next one the whole document counts as hostile


async def extract(ctx: JobContext, document: Document) -> int:
    """Store every page that is still missing; the generation they belong to."""
    async with AsyncExitStack() as stack:
        try:
            path = await stack.enter_async_context(ctx.resources.blobs.path(document.sha256))
        except FileNotFoundError as error:
            raise Invalid("The file is gone from the blob store.", code="blob_missing") from error
        children = await stack.enter_async_context(pdf_children(1))
        return await _Run(ctx, document, children, path).read_all()


class _Run:
    """One reading of one file, from wherever the last one stopped."""

    def __init__(
        self, ctx: JobContext, document: Document, children: ChildPool, path: Path
    ) -> None:
        self._ctx, self._document, self._children, self._path = ctx, document, children, path
        self.generation = resumed(ctx.cursor, document)  # None until the file is open
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
                    await self._begin(payload["page_count"], payload["title"])
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

    async def _begin(self, page_count: int, title: str | None) -> None:
        """Open a generation, unless an earlier attempt has."""
        if self.generation is not None:
            return
        stale = self._ctx.cursor is not None  # of a generation that a later job has replaced
        document_id = self._document.id
        async with self._ctx.step(total=page_count, stage="extracting", restart=stale) as step:
            generation = await generations.begin(step.session, document_id, page_count, title)
            step.advance(cursor={"generation": generation, "page": 0})
        self.generation, self._page_count = generation, page_count
        keep = {generation, self._document.live_generation or 0}
        await remove_pages(self._ctx, document_id, keep=keep)

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


def resumed(cursor: Any, document: Document) -> int | None:
    """The generation that an earlier attempt was writing, unless a later job has begun one."""
    if cursor is None or cursor["generation"] != document.last_generation:
        return None
    return document.last_generation


async def remove_pages(ctx: JobContext, document_id: UUID, *, keep: Collection[int]) -> None:
    """Remove the pages of all generations but those, batch by batch."""
    while True:
        async with ctx.resources.db.reading() as session:
            dead = await generations.first_dead(session, document_id, keep)
        if dead is None:
            return
        async with ctx.step() as step:
            await generations.remove_batch(step.session, document_id, *dead)


def _for_the_row(died: ChildDied) -> Exception:
    """A child that could not start is not the file's fault; any other death is."""
    if died.cause == "start":
        return Unavailable("The process that reads PDFs could not be started.")
    return died
