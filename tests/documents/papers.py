"""What the tests of documents share: an owner, a stored PDF, what the tables hold."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from app.core.columns import new_id
from app.documents import store
from app.documents.jobs import ask_for_extraction, extract_document, purge_document
from app.documents.models import Document, DocumentPage
from app.resources import Resources
from tests.harness import JobHarness

ALICE, BOB = new_id(), new_id()


def harness(resources: Resources) -> JobHarness:
    return JobHarness(resources, [extract_document, purge_document])


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


async def newest_job(resources: Resources, document_id: UUID) -> UUID:
    return UUID((await document_of(resources, document_id)).job_ids[0])


async def chunks_of(path: Path) -> AsyncIterator[bytes]:
    yield path.read_bytes()
