"""A worker that is killed at 67 %: the next one goes on after the last batch."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.columns import new_id
from app.notes.jobs import ask_for_regeneration, regenerate_embeddings
from tests.conftest import MakeSettings
from tests.embedding.server import EmbeddingServer
from tests.faults.conftest import Field, open_field
from tests.harness import JobHarness
from tests.notes.shelf import fill
from tests.waiting import until

pytestmark = pytest.mark.fault


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with EmbeddingServer().serving() as serving:
        yield serving


@pytest.fixture
async def field(make_settings: MakeSettings, tmp_path: Path) -> AsyncIterator[Field]:
    settings = make_settings(job_lease_seconds=3, shutdown_grace_seconds=2)
    async with open_field(settings, tmp_path / "workers.log") as opened:
        yield opened


def embedded(server: EmbeddingServer) -> Counter[str]:
    """How often each note's text was asked for."""
    asked = Counter(each for request in server.requests for each in request["input"])
    return Counter({each: times for each, times in asked.items() if each.endswith("some text")})


async def test_a_regeneration_goes_on_after_a_kill(field: Field, server: EmbeddingServer) -> None:
    """Real workers, and a model behind an address that is slow with the second batch."""
    who, db = new_id(), field.resources.db
    await fill(db, who, 150)
    provider = {
        "TEST_JOBS": "tests.notes.served",
        "EMBEDDING_PROVIDER": "openai",
        "EMBEDDING_BASE_URL": server.url,
    }
    server.faults = [None, None, None, 4.0]  # its dimension, a batch in two parts, and then
    async with db.transaction() as session:
        queue = JobHarness(field.resources, [regenerate_embeddings]).queue
        job = await ask_for_regeneration(session, queue, who, only_stale=False)
    doomed = field.worker(**provider)
    row = await field.reached(job.id, 100, 30)
    assert (row.status, row.progress_percent, row.total_items) == ("running", 67, 150)

    async def second_batch_is_under_way() -> bool:
        return len(server.requests) == 4

    await until(second_batch_is_under_way)
    doomed.kill()
    doomed.wait()
    field.worker(**provider)
    row = await field.completed(job.id)

    assert (row.processed_items, row.failed_items, row.progress_percent) == (150, 0, 100)
    times = embedded(server)
    assert len(times) == 150
    assert sum(count - 1 for count in times.values()) <= 100
    assert max(times.values()) == 2
    assert "100/150 processed, 0 failed, 67% done" in field.logged()
