"""One run of `ingest_index`: pages ─▶ chunks ─▶ vectors ─▶ live.

Chunks are cut in steps of their own, so that their number is known before the first is embedded.
Nothing is embedded inside a transaction. The job's cursor says how far each part has got.
"""

from collections.abc import AsyncGenerator
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec

from app.documents import chunking, chunks, generations, renewal, store
from app.documents.chunks import Piece
from app.documents.models import Document
from app.documents.reading import remove_pages
from app.embedding import spaces
from app.embedding.vectors import Vectors
from app.jobs.context import JobContext

BATCH_CHUNKS = 100  # embedded between two commits: the most that a crash repeats
CUT_PAGES = 200  # looked at in one go ...
CUT_CHARACTERS = 1_000_000  # ... and so many characters of them
STORED_CHUNKS = 250  # per step while cutting: 0.2 s of SQLite's lock, mostly for the text indexes


class Progress(msgspec.Struct):
    """How far a run has got: the job's cursor, committed with the rows."""

    page: int = 0  # the last one of which every chunk is stored
    within: int = 0  # chunks of the next page that are stored
    chunks: int = 0  # stored in all: the next one's position
    cut: bool = False
    embedded: int = 0  # chunks that have a vector: the next one's position


class Indexing:
    """Cuts and embeds one generation of one document, from wherever the last attempt stopped."""

    def __init__(self, ctx: JobContext, document: Document, generation: int) -> None:
        self._ctx, self._document, self._generation = ctx, document, generation
        self._db, self._embedder = ctx.resources.db, ctx.resources.embedder
        self._title = document.title or ""
        self._heading = self._title or PurePath(document.filename).stem.replace("_", " ")
        self._calls = 0  # texts given to the model by this attempt

    async def run(self) -> dict[str, Any]:
        """Do what is left; the facts for the job's result."""
        self._progress = await self._begun()
        if not self._progress.cut:
            await self._cut()
        if self._progress.chunks:
            await self._embed()
        await self._go_live()
        keep = [self._generation]
        await remove_pages(self._ctx, self._document.id, keep=keep)
        await renewal.remove_chunks(self._ctx, self._document.id, keep=keep)
        return {"chunks": self._progress.chunks, "embedded": self._calls}

    async def _begun(self) -> Progress:
        """Where the last attempt stopped; a generation that is live is cut already."""
        if self._ctx.cursor is not None:
            return msgspec.convert(self._ctx.cursor, Progress)
        if self._document.indexed_generation == self._generation:
            return Progress(chunks=self._document.chunk_count, cut=True)
        # What an earlier job has left of it, whose cursor is not ours.
        keep = {self._document.indexed_generation or 0}
        await renewal.remove_chunks(self._ctx, self._document.id, keep=keep)
        return Progress()

    async def _cut(self) -> None:
        """Store the chunks of all pages, `STORED_CHUNKS` a step."""
        done, waiting = self._progress, list[Piece]()
        page, within, skipped = done.page, 0, done.within
        async for number, text in self._pages(after=page):
            for piece in chunks.pieces_of(self._document.id, self._title, number, text):
                within += 1
                if within <= skipped:
                    continue
                waiting.append(piece)
                if len(waiting) == STORED_CHUNKS:
                    await self._store(waiting, page=page, within=within)
                    waiting = []
            page, within, skipped = number, 0, 0
        await self._store(waiting, page=page, within=0, cut=True)

    async def _pages(self, *, after: int) -> AsyncGenerator[tuple[int, str]]:
        """Number and text of the pages after that one; a few of them are in memory."""
        where = (self._document.id, self._generation)
        while True:
            async with self._db.reading() as session:
                found = await generations.lengths(session, *where, after=after, limit=CUT_PAGES)
                if not found:
                    return
                up_to, characters = after, 0
                for number, length in found:
                    characters += length
                    if up_to > after and characters > CUT_CHARACTERS:
                        break
                    up_to = number
                pages = await generations.texts(session, *where, after=after, up_to=up_to)
            for page in pages:
                yield page
            after = up_to

    async def _store(
        self, pieces: list[Piece], *, page: int, within: int, cut: bool = False
    ) -> None:
        """One step: chunks, and how far the cutting has got."""
        first = self._progress.chunks
        done = Progress(page=page, within=within, chunks=first + len(pieces), cut=cut)
        how: dict[str, Any] = {"stage": "chunking"}
        if cut:
            how = {"stage": "embedding", "total": done.chunks}
        async with self._ctx.step(**how) as step:
            await store.hold(step.session, self._document.id)
            await chunks.save(
                step.session, self._document.id, self._generation, self._heading, first, pieces
            )
            step.advance(cursor=msgspec.to_builtins(done))
        self._progress = done

    async def _embed(self) -> None:
        """Give every chunk a vector of the model that is set, `BATCH_CHUNKS` a step."""
        model = await renewal.ready_model(self._ctx)
        while self._progress.embedded < self._progress.chunks:
            first = self._progress.embedded
            async with self._db.reading() as session:
                batch = await chunks.batch(
                    session,
                    self._document.id,
                    self._generation,
                    model,
                    self._title,
                    first=first,
                    limit=BATCH_CHUNKS,
                )
            missing = [(each.id, each.text) for each in batch if each.text is not None]
            vectors = await self._embedder.embed([text for _, text in missing])
            self._calls += len(missing)
            await self._save(model, len(batch), [id_ for id_, _ in missing], vectors)

    async def _save(self, model: int, count: int, ids: list[UUID], vectors: Vectors) -> None:
        """One step: the vectors of a batch, of which some may have been there already."""
        embedded = self._progress.embedded + count
        done = msgspec.structs.replace(self._progress, embedded=embedded)
        async with self._ctx.step(total=done.chunks, stage="embedding") as step:
            await store.hold(step.session, self._document.id)
            await chunks.save_vectors(step.session, self._document.id, model, ids, vectors)
            step.advance(count, cursor=msgspec.to_builtins(done))
        self._progress = done

    async def _go_live(self) -> None:
        """The last step: from now on readers and search see this generation."""
        async with self._ctx.step(total=self._progress.chunks) as step:
            session, document_id = step.session, self._document.id
            await store.hold(session, document_id)
            await generations.go_live(session, document_id, self._generation)
            await store.change(
                session,
                document_id,
                indexed_generation=self._generation,
                chunk_count=self._progress.chunks,
                chunker=chunking.VERSION,
            )
            await spaces.changed(session, chunks.SPACE)
