"""What the tests of documents share: an owner, a stored PDF, what the tables hold."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import select

from app.core.columns import new_id
from app.documents import store
from app.documents.jobs import (
    ask_for_extraction,
    extract_document,
    index_document,
    purge_document,
    renew_documents,
)
from app.documents.models import Chunk, ChunkEmbedding, Document, DocumentPage
from app.embedding import Embedder, Identity, Language
from app.embedding.vectors import Vectors, unit_rows
from app.jobs.models import BackgroundJob
from app.jobs.spec import Job
from app.resources import Resources
from tests.harness import JobHarness

ALICE, BOB = new_id(), new_id()


JOBS: list[Job[Any]] = [extract_document, index_document, purge_document, renew_documents]


def harness(resources: Resources, embedder: Embedder | None = None) -> JobHarness:
    """Runs the jobs of documents, with an embedder that costs nothing unless one is given."""
    return JobHarness(replace(resources, embedder=embedder or Letters()), JOBS)


async def keep(jobs: JobHarness, path: Path, owner_id: UUID = ALICE) -> UUID:
    """Store a PDF as an upload does, and ask for its extraction; the document's id."""
    resources = jobs.resources
    blob = await resources.blobs.put(chunks_of(path), limit_bytes=10**9)
    async with resources.db.transaction() as session:
        document = await store.add(session, owner_id, path.name, blob)
        assert document is not None
        await ask_for_extraction(session, jobs.queue, document)
    return document.id


async def ask_again(jobs: JobHarness, document_id: UUID) -> UUID:
    """Ask for one more extraction; the job's id."""
    async with jobs.resources.db.transaction() as session:
        document = await store.one(session, document_id, None)
        return (await ask_for_extraction(session, jobs.queue, document)).id


async def document_of(resources: Resources, document_id: UUID) -> Document:
    async with resources.db.reading() as session:
        return await store.one(session, document_id, None)


async def rows_of(resources: Resources, document_id: UUID) -> list[tuple[int, int, str]]:
    """Generation, page number and text of every row, dead ones too."""
    page = DocumentPage
    async with resources.db.reading() as session:
        found = await session.execute(
            select(page.generation, page.page_number, page.text)
            .where(page.document_id == document_id)
            .order_by(page.generation, page.page_number)
        )
        return [(row[0], row[1], row[2]) for row in found]


async def newest_job(resources: Resources, document_id: UUID, kind: str = "ingest_extract") -> UUID:
    """The document's newest job of a kind."""
    ids = [UUID(job_id) for job_id in (await document_of(resources, document_id)).job_ids]
    async with resources.db.reading() as session:
        found = await session.scalars(
            select(BackgroundJob.id)
            .where(BackgroundJob.id.in_(ids), BackgroundJob.kind == kind)
            .order_by(BackgroundJob.seq.desc())
        )
        return next(iter(found))


async def index_job(resources: Resources, document_id: UUID) -> UUID:
    return await newest_job(resources, document_id, "ingest_index")


async def chunk_rows(resources: Resources, document_id: UUID) -> list[Chunk]:
    """Every row in order, dead ones too."""
    async with resources.db.reading() as session:
        found = await session.scalars(
            select(Chunk)
            .where(Chunk.document_id == document_id)
            .order_by(Chunk.generation, Chunk.position)
        )
        return list(found)


async def vectors_of(resources: Resources, document_id: UUID) -> dict[tuple[int, UUID], Any]:
    """Each vector of the document's chunks, by model and chunk."""
    async with resources.db.reading() as session:
        found = await session.scalars(
            select(ChunkEmbedding).where(ChunkEmbedding.document_id == document_id)
        )
        return {(row.model_id, row.chunk_id): row.vector for row in found}


async def chunks_of(path: Path) -> AsyncIterator[bytes]:
    yield path.read_bytes()


class Letters:
    """An embedder that counts letters, and how often it is asked for what."""

    language: Language = "any"

    def __init__(self, digest: str = "letters", *, dimension: int = 27) -> None:
        self._identity = Identity("letters", digest, dimension)
        self.texts: list[str] = []

    async def identity(self) -> Identity:
        return self._identity

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        rows = np.ones((len(texts), self._identity.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for place in range(self._identity.dimension):
                row[place] += text.lower().count(chr(ord("a") + place))
        return unit_rows(rows) if len(texts) else rows

    async def aclose(self) -> None:
        return None
