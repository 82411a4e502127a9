"""Workers killed at any moment of an ingest: every document ends, and hardly anything is done twice."""

import asyncio
import random
import signal
import sys
from pathlib import Path

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

PAGES, BATCH, KILLS = 1_000, 20, 20


@pytest.mark.long
async def test_twenty_kills_leave_every_document_whole(
    resources: Resources, tmp_path: Path
) -> None:
    dice = random.Random(5)
    jobs = harness(resources)
    log = tmp_path / "embedded"
    document_id = await keep(jobs, make_pdf(tmp_path / "a.pdf", PAGES))
    url = resources.db.url.render_as_string(hide_password=False)
    folder = str(resources.settings.data_dir)
    command = [sys.executable, "-m", "tests.documents.killed", url, folder, str(BATCH), str(log)]

    killed = 0
    for _ in range(KILLS):
        worker = await asyncio.create_subprocess_exec(*command)
        await asyncio.sleep(dice.uniform(0.8, 2.5))
        if worker.returncode is None:
            worker.send_signal(signal.SIGKILL)
            killed += 1
        await worker.wait()
    async with jobs.on_shift() as rescuer, asyncio.timeout(60):
        while (await document_of(resources, document_id)).status not in ("ready", "failed"):
            await run_all(rescuer)
            await asyncio.sleep(0.05)

    document = await document_of(resources, document_id)
    job = await jobs.row(await newest_job(resources, document_id))
    assert killed > KILLS // 2
    if document.status == "failed":  # killed three times in a row before anything was done
        assert document.error_code == "poison"
        return
    rows = await chunk_rows(resources, document_id)
    assert (job.status, len(rows), document.chunk_count) == ("completed", PAGES, PAGES)
    assert (await jobs.row(await index_job(resources, document_id))).status == "completed"
    assert len(await vectors_of(resources, document_id)) == PAGES
    texts = log.read_text().splitlines()
    assert len(texts) - len(set(texts)) <= killed * BATCH
