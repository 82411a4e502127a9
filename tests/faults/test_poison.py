"""Handlers that take their worker down; row 15 of the matrix."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs.spec import JobArgs
from tests.engines.jobs import Count, Poison
from tests.faults.conftest import Field
from tests.faults.crew import Crew, Process
from tests.faults.jobs import Devour, Write, effects_of

pytestmark = pytest.mark.fault

MEGABYTES = 500  # for all workers together; a few take half of it before they do anything
GROUPS = Path("/sys/fs/cgroup/memory")
CODES = {"exit": 1, "segfault": -11, "block": 75, "spin": 75, "memory": -9}
POISONS: dict[str, JobArgs] = {
    "exit": Poison(how="exit"),
    "segfault": Poison(how="segfault"),
    "block": Poison(how="block"),
    "spin": Poison(how="spin"),
    "memory": Devour(megabytes=2 * MEGABYTES),
}


@pytest.fixture
def lease() -> float:
    return 3.0


class Limited:
    """A limit of memory for processes, kept by the kernel where it lets us."""

    def __init__(self, group: Path) -> None:
        self._group: Path | None = group
        try:
            group.mkdir()
            (group / "memory.limit_in_bytes").write_text(f"{MEGABYTES}M")
        except OSError:
            self._group = None

    def add(self, process: Process) -> None:
        if self._group is not None:
            (self._group / "cgroup.procs").write_text(str(process.pid))

    def remove(self) -> None:
        if self._group is not None:
            self._group.rmdir()


@pytest.fixture
def limited() -> Iterator[Limited]:
    """Asked for before the field, so that its workers have ended when the group is removed."""
    group = Limited(GROUPS / f"headway-test-{os.getpid()}")
    yield group
    group.remove()


@pytest.mark.parametrize(
    "how", ["exit", *(pytest.param(how, marks=pytest.mark.slow) for how in list(POISONS)[1:])]
)
async def test_what_kills_three_workers_in_a_row_is_poison(
    limited: Limited, steady_field: Field, how: str
) -> None:
    """The others go on meanwhile, those in the same process too, and none of them fails."""
    field = steady_field
    beside = [await field.ask(Write(items=100, pause=0.02)) for _ in range(2)]
    limit = limited.add if how == "memory" else None
    async with Crew(field, "database", "arq", on_start=limit) as crew:
        for job_id in beside:
            await field.reached(job_id, 1)
        poison = await field.ask(POISONS[how])
        passing = 0
        while (row := await field.row(poison)).status in ("queued", "running"):
            small = await field.ask(Count(items=1))
            row = await field.stands(small, "completed", "failed", seconds=10)
            assert row.status == "completed"
            passing += 1
        for job_id in beside:
            assert (await field.stands(job_id, "completed", "failed")).status == "completed"
        await crew.lost(3)  # the last of them says that the job has failed, and ends after that

    assert (row.status, row.error_type, row.lapses) == ("failed", "poison", 3)
    assert crew.codes == [CODES[how]] * 3
    assert passing >= 3
    for job_id in beside:
        assert await effects_of(field.resources.db, job_id) == list(range(100))


async def test_a_handler_that_blocks_the_loop_is_charged_and_the_process_ends_with_75(
    field: Field,
) -> None:
    innocent = await field.ask(Count(items=400, pause=0.02))
    worker = field.worker()
    await field.reached(innocent, 5)
    guilty = await field.ask(Poison(how="block"))

    code = await asyncio.to_thread(worker.wait, 20)

    assert code == 75, field.logged()[-3000:]
    row = await field.row(guilty)
    assert (row.status, row.lapses) == ("queued", 1)
    row = await field.row(innocent)
    assert (row.status, row.lapses, row.attempt) == ("queued", 0, 0)
    assert [event.kind for event in await field.events(innocent)][-1] == "released"
