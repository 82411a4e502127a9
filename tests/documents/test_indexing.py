"""Chunks and vectors: what a run makes, what the next one keeps, and what is left of a deletion."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import func, select, text, update

from app.core.errors import Unavailable
from app.documents import chunking, chunks, indexing, renewal, store
from app.documents.jobs import IndexDocument, PurgeDocument, RenewDocuments
from app.documents.models import ChunkEmbedding, Document
from app.documents.sample import make_pdf
from app.embedding import spaces
from app.embedding.vectors import Vectors
from app.jobs.engines.inline import run_all
from app.jobs.ledger import Ledger
from app.resources import Resources, open_resources
from tests.conftest import MakeSettings
from tests.documents.papers import (
    ALICE,
    BOB,
    Letters,
    ask_again,
    chunk_rows,
    document_of,
    harness,
    index_job,
    keep,
    newest_job,
    rows_of,
    vectors_of,
)
from tests.documents.strange import made_of

PAGES = ["The first page speaks of apples.", "", "The third one, of pears. " * 80]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_pdf(tmp_path / "fruit.pdf", PAGES, title="Fruit")


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BATCH_CHUNKS", 2)
    monkeypatch.setattr(indexing, "STORED_CHUNKS", 2)
    monkeypatch.setattr(renewal, "_BATCH_CHUNKS", 2)


async def test_a_document_gets_chunks_and_a_vector_for_each(
    resources: Resources, path: Path
) -> None:
    letters = Letters()
    jobs = harness(resources, letters)
    document_id = await keep(jobs, path)

    await jobs.run_all()
    document = await document_of(resources, document_id)
    rows = await chunk_rows(resources, document_id)
    vectors = await vectors_of(resources, document_id)
    job = await jobs.row(await index_job(resources, document_id))

    pages = {number: own for _, number, own in await rows_of(resources, document_id)}
    assert len(rows) > 2
    assert [row.position for row in rows] == list(range(len(rows)))
    assert all(pages[row.page_number][row.char_start : row.char_end] == row.text for row in rows)
    assert {row.page_number for row in rows} == {1, 3}
    assert {row.title for row in rows} == {"Fruit"}
    assert (document.status, document.chunk_count) == ("ready", len(rows))
    assert (document.live_generation, document.indexed_generation) == (1, 1)
    assert letters.texts == [f"Fruit\n{row.text}" for row in rows]
    expected = await Letters().embed(letters.texts)
    for row, vector in zip(rows, expected, strict=True):
        np.testing.assert_allclose(vectors[1, row.id], vector, atol=1e-3)
    assert (job.status, job.stage, job.processed_items) == ("completed", "embedding", len(rows))
    assert job.result == {
        "document_id": str(document_id),
        "chunks": len(rows),
        "embedded": len(rows),
    }


async def test_reading_and_indexing_may_have_queues_and_workers_of_their_own(
    make_settings: MakeSettings, path: Path
) -> None:
    routes = {"ingest_extract": "reading", "ingest_index": "indexing"}
    async with open_resources(make_settings(queue_routes=routes)) as resources:
        jobs = harness(resources)
        document_id = await keep(jobs, path)

        await run_all(jobs.worker(queues=("reading",)))
        waiting = await jobs.row(await index_job(resources, document_id))
        assert (waiting.status, waiting.queue) == ("queued", "indexing")
        assert (await document_of(resources, document_id)).status == "indexing"
        assert len(await rows_of(resources, document_id)) == len(PAGES)

        await run_all(jobs.worker(queues=("indexing",)))
        assert (await document_of(resources, document_id)).status == "ready"


async def test_unchanged_text_is_never_embedded_twice(resources: Resources, path: Path) -> None:
    letters = Letters()
    jobs = harness(resources, letters)
    document_id = await keep(jobs, path)
    await jobs.run_all()
    before, asked = await chunk_rows(resources, document_id), len(letters.texts)

    await ask_again(jobs, document_id)
    await jobs.run_all()
    after = await chunk_rows(resources, document_id)

    assert len(letters.texts) == asked
    assert [row.id for row in after] == [row.id for row in before]
    assert {row.generation for row in after} == {2}
    assert (await document_of(resources, document_id)).indexed_generation == 2
    assert len(await vectors_of(resources, document_id)) == len(after)
    assert await _indexed(resources, "pears") == await _indexed(resources, "fruit") - 1


async def test_an_index_job_that_runs_again_changes_nothing(
    resources: Resources, path: Path
) -> None:
    letters = Letters()
    jobs = harness(resources, letters)
    document_id = await keep(jobs, path)
    await jobs.run_all()
    before, asked = await chunk_rows(resources, document_id), len(letters.texts)

    again = await jobs.run(IndexDocument(document_id=document_id, generation=1))
    overtaken = await jobs.run(IndexDocument(document_id=document_id, generation=7))

    assert again.result is not None
    assert (again.status, again.result["embedded"]) == ("completed", 0)
    assert overtaken.result == {"document_id": str(document_id), "overtaken": True}
    assert [row.seq for row in await chunk_rows(resources, document_id)] == [
        row.seq for row in before
    ]
    assert len(letters.texts) == asked


async def test_a_failing_model_costs_nothing_that_was_done(
    resources: Resources, path: Path
) -> None:
    letters = FailsOnce(at_call=2)
    jobs = harness(resources, letters)
    document_id = await keep(jobs, path)

    await jobs.run_all()
    job = await jobs.row(await index_job(resources, document_id))
    assert (job.status, job.processed_items) == ("queued", 2)
    assert (await document_of(resources, document_id)).status == "indexing"
    assert (await document_of(resources, document_id)).indexed_generation is None

    async with resources.db.transaction() as session:
        await session.execute(text("UPDATE background_jobs SET run_after = created_at"))
    await jobs.run_all()
    rows = await chunk_rows(resources, document_id)

    assert (await document_of(resources, document_id)).status == "ready"
    assert sorted(letters.texts) == sorted(f"Fruit\n{row.text}" for row in rows)


async def test_a_cancelled_index_fails_the_document_until_it_is_tried_again(
    resources: Resources, path: Path
) -> None:
    letters = Waits()
    jobs = harness(resources, letters)
    document_id = await keep(jobs, path)
    running = asyncio.create_task(jobs.run_all())
    await asyncio.wait_for(letters.asked.wait(), 10)
    job_id = await index_job(resources, document_id)

    ledger = Ledger(resources.db, jobs.queue)
    await resources.db.run(lambda session: ledger.cancel(session, job_id, None))
    letters.open.set()
    await asyncio.wait_for(running, 10)
    document = await document_of(resources, document_id)
    assert (document.status, document.error_code) == ("failed", "cancelled")
    assert await chunks_live(resources, document_id) == 0

    await resources.db.run(lambda session: ledger.retry(session, job_id, None))
    assert (await document_of(resources, document_id)).status == "uploaded"
    await jobs.run_all()
    assert (await document_of(resources, document_id)).status == "ready"


async def test_a_document_without_text_needs_no_model(resources: Resources, tmp_path: Path) -> None:
    letters = Letters()
    jobs = harness(resources, letters)
    document_id = await keep(jobs, made_of(tmp_path / "a.pdf", ["scan"]))

    await jobs.run_all()
    document = await document_of(resources, document_id)

    assert (document.status, document.error_code, document.chunk_count) == ("ready", "needs_ocr", 0)
    assert letters.texts == []


async def test_deleted_means_gone(resources: Resources, path: Path) -> None:
    jobs = harness(resources)
    mine, theirs = await keep(jobs, path, ALICE), await keep(jobs, path, BOB)
    await jobs.run_all()
    document = await document_of(resources, mine)
    both = await _indexed(resources, "pears")

    async with resources.db.transaction() as session:
        await store.remove(session, mine)
    for _ in range(2):
        row = await jobs.run(PurgeDocument(document_id=mine, sha256=document.sha256))
        assert row.status == "completed"

    assert (await chunk_rows(resources, mine), await vectors_of(resources, mine)) == ([], {})
    assert await _indexed(resources, "pears") == both // 2
    assert await chunk_rows(resources, theirs)
    assert await vectors_of(resources, theirs)


async def test_documents_from_before_chunks_are_ingested_again(
    resources: Resources, path: Path
) -> None:
    jobs = harness(resources)
    document_id = await keep(jobs, path)
    await jobs.run_all()
    first = await newest_job(resources, document_id)
    async with resources.db.transaction() as session:
        await session.execute(update(Document).values(chunker=None, indexed_generation=None))

    renewed = await jobs.run(RenewDocuments())
    again = await jobs.run(RenewDocuments())

    assert (renewed.result or {})["documents"] == 1
    assert (again.result or {})["documents"] == 0
    assert await newest_job(resources, document_id) != first
    document = await document_of(resources, document_id)
    assert (document.status, document.chunker) == ("ready", chunking.VERSION)


async def test_another_model_is_built_beside_the_old_one_and_takes_over_at_once(
    resources: Resources, path: Path, tmp_path: Path
) -> None:
    jobs = harness(resources, Letters("old"))
    first = await keep(jobs, path)
    await jobs.run_all()
    newer = Letters("new", dimension=30)
    jobs = harness(resources, newer)
    second = await keep(jobs, make_pdf(tmp_path / "b.pdf", ["Plums."]))
    await jobs.run_all()
    assert (await _space(resources)).key == "old:27:unit"  # until the new one has them all
    assert {model for model, _ in await vectors_of(resources, second)} == {2}

    row = await jobs.run(RenewDocuments())

    assert row.result == {"documents": 0, "embedded": len(await chunk_rows(resources, first))}
    space = await _space(resources)
    assert (space.key, space.dimension) == ("new:30:unit", 30)
    assert {model for model, _ in await vectors_of(resources, first)} == {2}
    again = await jobs.run(RenewDocuments())
    assert again.result == {"documents": 0, "embedded": 0}
    async with resources.db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(ChunkEmbedding)) == len(
            newer.texts
        )


async def chunks_live(resources: Resources, document_id: UUID) -> int:
    async with resources.db.reading() as session:
        return len(await chunks.live(session, document_id, limit=100, offset=0))


async def _space(resources: Resources) -> spaces.Space:
    async with resources.db.reading() as session:
        return await spaces.space(session, chunks.SPACE)


async def _indexed(resources: Resources, word: str) -> int:
    """How many chunks, dead or alive, the text index has under a word."""
    sql = "SELECT count(*) FROM chunk_words WHERE chunk_words MATCH :word"
    if not resources.db.is_sqlite:
        sql = "SELECT count(*) FROM chunks WHERE words @@ plainto_tsquery('headway', :word)"
    async with resources.db.reading() as session:
        return int(await session.scalar(text(sql), {"word": word}) or 0)


class FailsOnce(Letters):
    """Does not answer one of its calls."""

    def __init__(self, *, at_call: int) -> None:
        super().__init__()
        self._calls_left = at_call

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self._calls_left -= 1
        if self._calls_left == 0:
            raise Unavailable("away")
        return await super().embed(texts)


class Waits(Letters):
    """Answers nobody until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.open = asyncio.Event(), asyncio.Event()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked.set()
        await self.open.wait()
        return await super().embed(texts)
