"""Workers killed at any moment of an ingest: every document ends, and hardly anything is done twice."""

import asyncio
import random
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from app.documents.sample import make_pdf
from app.jobs.engines.inline import run_all
from app.resources import Resources
from tests.documents.papers import (
    chunk_rows,
    document_of,
    harness,
    index_job,
    keep,
    newest_job,
    vectors_of,
)
from tests.harness import JobHarness

PAGES, BATCH, KILLS = 600, 20, 20
ENDED = ("ready", "failed")


@pytest.mark.long
async def test_twenty_kills_leave_every_document_whole(
    resources: Resources, tmp_path: Path
) -> None:
    dice = random.Random(5)
    jobs = harness(resources)
    log = tmp_path / "embedded"
    ids = list[UUID]()
    killed = 0
    async with asyncio.timeout(300):
        while killed < KILLS:
            if not await _unfinished(resources, ids):
                ids.append(await _keep_one(jobs, tmp_path / f"{len(ids)}.pdf"))
            killed += await _killed_at_work(resources, log, dice.uniform(0.5, 2.0))
    async with jobs.on_shift() as rescuer, asyncio.timeout(60):
        while await _unfinished(resources, ids):
            await run_all(rescuer)
            await asyncio.sleep(0.05)

    for document_id in ids:
        await _is_whole_or_poison(jobs, document_id)
    texts = log.read_text().splitlines()
    assert len(texts) - len(set(texts)) <= killed * BATCH


async def _keep_one(jobs: JobHarness, path: Path) -> UUID:
    """A document of which no text is in another one: chunks are embedded with their title."""
    return await keep(jobs, make_pdf(path, PAGES, title=f"Report {path.stem}"))


async def _unfinished(resources: Resources, ids: Iterable[UUID]) -> bool:
    return any([(await document_of(resources, id_)).status not in ENDED for id_ in ids])


async def _killed_at_work(resources: Resources, log: Path, seconds: float) -> bool:
    """Start a worker and kill it after so long; False when it had nothing left to do before."""
    url = resources.db.url.render_as_string(hide_password=False)
    given = (url, str(resources.settings.data_dir), str(BATCH), str(log))
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.documents.killed", *given
    )
    with suppress(TimeoutError):
        await asyncio.wait_for(worker.wait(), seconds)
        return False
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    return True


async def _is_whole_or_poison(jobs: JobHarness, document_id: UUID) -> None:
    document = await document_of(jobs.resources, document_id)
    if document.status == "failed":  # killed three times in a row before anything was done
        assert document.error_code == "poison"
        return
    job = await jobs.row(await newest_job(jobs.resources, document_id))
    rows = await chunk_rows(jobs.resources, document_id)
    assert (job.status, len(rows), document.chunk_count) == ("completed", PAGES, PAGES)
    assert (await jobs.row(await index_job(jobs.resources, document_id))).status == "completed"
    assert len(await vectors_of(jobs.resources, document_id)) == PAGES
