"""One real worker with the real model over every PDF that nobody here wrote: what it takes."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from app.resources import Resources
from tests.documents.papers import document_of, harness, keep
from tests.real.pdf_classes import FOLDER, manifest, needs_pdfs
from tests.real.test_real_pdfs import peak_bytes

pytestmark = [*needs_pdfs, pytest.mark.long]

BOUND_BYTES = 350 * 1024**2
CHILD_BYTES = 512 * 1024**2
HANGS_SECONDS = 300  # of all files together


async def test_a_worker_stays_small_over_every_file(
    resources: Resources, record_property: Any
) -> None:
    jobs = harness(resources)
    ids = [await keep(jobs, FOLDER / entry["file"]) for entry in manifest()]
    url = resources.db.url.render_as_string(hide_password=False)

    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.real.worker", url, str(resources.settings.data_dir)
    )
    ended = asyncio.create_task(worker.wait())
    own = children = 0
    async with asyncio.timeout(HANGS_SECONDS):
        while not ended.done():
            own = max(own, peak_bytes(worker.pid))
            children = max([children, *map(peak_bytes, _children_of(worker.pid))])
            await asyncio.sleep(0.02)

    print(f"worker {own >> 20} MB, its largest child {children >> 20} MB")
    record_property("worker_mb", own >> 20)
    record_property("child_mb", children >> 20)
    assert ended.result() == 0
    assert own <= BOUND_BYTES
    assert children <= CHILD_BYTES
    statuses = {(await document_of(resources, id_)).status for id_ in ids}
    assert statuses == {"ready", "failed"}


def _children_of(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(each) for each in listed.split()]
