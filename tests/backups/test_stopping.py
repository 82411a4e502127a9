"""`backup_index` stopped in the middle: by a failure, its worker, a person, or a deletion."""

import asyncio
import os
from typing import Any

import pytest

from app.backups import jobs, store
from app.backups.jobs import IndexBackup, PurgeBackup
from app.backups.rows.writing import write
from app.core.processes import ChildPool
from tests.backups.house import BATCH, ROWS, Gate, House, add_message, counts_of, items_of


async def test_a_failed_attempt_goes_on_after_its_last_batch(
    house: House, truth: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = await house.register(house.put("ada/one"))
    await house.index(undisturbed)
    gate = Gate(monkeypatch, before=4)
    real = write
    crashed = False

    async def crash_once(session: Any, written: Any, *how: Any) -> None:
        nonlocal crashed
        await real(session, written, *how)
        if len(gate.batches) == 4 and not crashed:
            crashed = True
            raise RuntimeError("the machine is on fire")

    monkeypatch.setattr("app.backups.domain_run.write", crash_once)
    gate.opened.set()
    backup_id = await house.register(house.put("ada/two"))
    row = await house.index(backup_id)
    assert (row.status, row.error_type) == ("queued", "unexpected")
    assert (await house.backup(backup_id)).status == "INDEXING"
    assert "messages" not in await house.seen(backup_id)

    row = await house.run_when_due(row.id)

    assert row.status == "completed"
    assert row.processed_items == row.total_items == items_of(truth)
    assert await house.content(backup_id) == await house.content(undisturbed)
    assert len(gate.batches) - len(set(gate.batches)) <= 1


async def test_a_stopped_worker_hands_the_generation_on(
    house: House, truth: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, before=3)
    backup_id = await house.register(house.put())
    job_id = await house.jobs.ask(IndexBackup(backup_id=backup_id))
    async with house.jobs.on_shift() as worker:
        await worker.claim()
        async with asyncio.timeout(10):
            await gate.reached.wait()
    row = await house.jobs.row(job_id)
    assert (row.status, row.attempt) == ("queued", 0)
    assert (await house.backup(backup_id)).status == "INDEXING"
    gate.opened.set()

    row = await house.run_when_due(job_id)

    assert row.status == "completed"
    assert await house.seen(backup_id) == counts_of(truth)
    assert await house.stored() == sum(counts_of(truth).values())


async def test_a_cancelled_run_leaves_the_old_generation_and_can_be_taken_up(
    house: House, truth: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = house.put()
    backup_id = await house.register(folder)
    await house.index(backup_id)
    add_message(folder)
    gate = Gate(monkeypatch, before=3)
    job_id = await house.jobs.ask(IndexBackup(backup_id=backup_id))
    async with house.jobs.on_shift() as worker:
        await worker.claim()
        async with asyncio.timeout(10):
            await gate.reached.wait()
        assert (await house.backup(backup_id)).status == "INDEXING"
        assert await house.seen(backup_id) == counts_of(truth)
        await house.cancel(job_id)
        async with asyncio.timeout(3):
            while (await house.jobs.row(job_id)).status == "running":
                await asyncio.sleep(0.02)
    assert (await house.jobs.row(job_id)).status == "cancelled"
    assert (await house.backup(backup_id)).status == "INDEXED"
    assert await house.seen(backup_id) == counts_of(truth)
    gate.opened.set()
    before = len(gate.batches)

    row = await house.retry(job_id)

    assert (row.status, row.progress_percent) == ("completed", 100)
    assert (await house.seen(backup_id))["messages"] == truth["messages"] + 1
    assert await house.stored() == sum(counts_of(truth).values()) + 1
    assert len(gate.batches) - before == ROWS // BATCH + 1 - 2


async def test_an_old_job_does_not_go_on_in_a_generation_that_was_overtaken(
    house: House, truth: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = house.put()
    backup_id = await house.register(folder)
    gate = Gate(monkeypatch, before=3)
    old = await house.jobs.ask(IndexBackup(backup_id=backup_id))
    async with house.jobs.on_shift() as worker:
        await worker.claim()
        await asyncio.wait_for(gate.reached.wait(), 10)
        await house.cancel(old)
        async with asyncio.timeout(3):
            while (await house.jobs.row(old)).status == "running":
                await asyncio.sleep(0.02)
    assert (await house.backup(backup_id)).status == "FAILED"
    gate.opened.set()
    add_message(folder, "second")
    await house.index(backup_id)
    add_message(folder, "third")

    row = await house.retry(old)

    assert row.status == "completed"
    assert (await house.seen(backup_id))["messages"] == truth["messages"] + 2
    assert row.processed_items == row.total_items == items_of(truth) + 2
    assert await house.stored() == sum(counts_of(truth).values()) + 2


async def test_the_child_ends_when_the_job_does(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[ChildPool] = []

    class Seen(ChildPool):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            pools.append(self)

    monkeypatch.setattr(jobs, "ChildPool", Seen)
    gate = Gate(monkeypatch, before=2)
    backup_id = await house.register(house.put())
    job_id = await house.jobs.ask(IndexBackup(backup_id=backup_id))
    async with house.jobs.on_shift() as worker:
        await worker.claim()
        await asyncio.wait_for(gate.reached.wait(), 10)
        (pid,) = pools[0].pids
        await house.cancel(job_id)
        async with asyncio.timeout(3):
            while (await house.jobs.row(job_id)).status == "running":
                await asyncio.sleep(0.02)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_backup_deleted_while_it_is_indexed_leaves_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, before=3)
    backup_id = await house.register(house.put())
    job_id = await house.jobs.ask(IndexBackup(backup_id=backup_id))
    async with house.jobs.on_shift() as worker:
        await worker.claim()
        await asyncio.wait_for(gate.reached.wait(), 10)
        async with house.resources.db.transaction() as session:
            await store.remove(session, backup_id)
            await house.jobs.queue.enqueue(session, PurgeBackup(backup_id=backup_id))
        stored = await house.stored()
        gate.opened.set()
        async with asyncio.timeout(5):
            while (await house.jobs.row(job_id)).status == "running":
                await asyncio.sleep(0.02)
    row = await house.jobs.row(job_id)
    assert (row.status, row.error_type) == ("failed", "backup_deleted")
    assert await house.stored() == stored > 0

    await house.jobs.run_all()

    assert await house.stored() == 0
