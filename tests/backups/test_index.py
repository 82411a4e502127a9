"""`backup_index` on a whole sample backup: meaning, statuses, replacing, resuming, stopping."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.backups import indexing, jobs, listing
from app.backups.indexing import MessagesRun
from app.backups.jobs import IndexBackup
from app.backups.message_rows import write_messages
from app.backups.models import BackupArtifact, Message
from app.backups.sample import make_backup
from app.core.processes import ChildDied, ChildPool
from app.resources import open_resources
from tests.backups.house import House, add_message, sms
from tests.conftest import MakeSettings

ROWS, BATCH = 3000, 500


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    folder = tmp_path_factory.mktemp("sample") / "00008110-000A1D2E3F4A801E"
    return folder, make_backup(folder, messages=ROWS)


@pytest.fixture
def truth(sample: tuple[Path, dict[str, int]]) -> dict[str, int]:
    return sample[1]


@pytest.fixture
async def house(
    make_settings: MakeSettings,
    sample: tuple[Path, dict[str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[House]:
    monkeypatch.setattr(indexing, "BATCH", BATCH)
    root = tmp_path / "roots"
    root.mkdir()
    async with open_resources(make_settings(backup_roots=(root,))) as resources:
        yield House(resources, sample[0], root)


def counts_of(truth: dict[str, int]) -> dict[str, int]:
    return {
        "conversations": truth["conversations"],
        "messages": truth["messages"],
        "message_attachments": truth["attachments"],
    }


class Gate:
    """Stops a run before its n-th batch, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self.batches: list[int] = []
        real = MessagesRun._add

        async def gated(run: MessagesRun, records: Any, rowid: int, lost: int) -> None:
            self.batches.append(rowid)
            if len(self.batches) == before:
                self.reached.set()
                await self.opened.wait()
            await real(run, records, rowid, lost)

        monkeypatch.setattr(MessagesRun, "_add", gated)


async def test_everything_in_the_backup_is_stored_once(house: House, truth: dict[str, int]) -> None:
    backup_id = await house.register(house.put())

    row = await house.index(backup_id)

    assert (row.status, row.progress_percent, row.error_message) == ("completed", 100, None)
    assert row.total_items == row.processed_items == truth["messages"]
    assert row.result["counts"] == counts_of(truth)
    assert row.result["warnings"] == []
    assert await house.seen(backup_id) == counts_of(truth)
    backup = await house.backup(backup_id)
    assert (backup.status, backup.device, backup.ios_version) == (
        "INDEXED", "Sample iPhone", "18.5",
    )  # fmt: skip
    chats, messages, files = await house.content(backup_id)
    columns = [c.name for c in Message.__table__.columns][2:]
    found = [dict(zip(columns, one, strict=True)) for one in messages]
    assert sum(bool(one["edits"]) for one in found) == truth["edited"]
    assert sum(one["unsent"] for one in found) == truth["unsent"]
    assert sum(bool(one["reply_to_guid"]) for one in found) == truth["replies"]
    assert sum(bool(one["effect"]) for one in found) == truth["effects"]
    assert sum(bool(one["deleted_at"]) for one in found) == truth["deleted"]
    assert sum(one["kind"] == "group_event" for one in found) == truth["group_event"]
    assert sum(bool(one["reactions"]) for one in found) > 0
    assert sum(one[-2] is True for one in files) == truth["attachments_present"]
    assert sum(one[6] for one in chats) == truth["messages"]  # message_count


async def test_a_second_run_of_an_unchanged_backup_changes_no_row(
    house: House, truth: dict[str, int]
) -> None:
    backup_id = await house.register(house.put())
    await house.index(backup_id)
    before = await house.content(backup_id)
    pointer = await pointer_of(house)

    row = await house.index(backup_id)

    assert row.status == "completed"
    assert row.result["domains"] == {"messages": "unchanged"}
    assert (row.processed_items, row.total_items) == (truth["messages"], truth["messages"])
    assert await house.content(backup_id) == before
    assert await pointer_of(house) == pointer


async def test_a_changed_backup_replaces_the_rows_and_leaves_no_dead_ones(
    house: House, truth: dict[str, int]
) -> None:
    folder = house.put()
    backup_id = await house.register(folder)
    await house.index(backup_id)
    stored = await house.stored()
    add_message(folder)

    row = await house.index(backup_id)

    assert row.result["domains"] == {"messages": "indexed"}
    assert (await house.seen(backup_id))["messages"] == truth["messages"] + 1
    assert await house.stored() == stored + 1


async def test_readers_see_whole_generations_only(
    house: House, truth: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.backups.generations._BATCH_SQLITE", 200)
    monkeypatch.setattr("app.backups.generations._BATCH_POSTGRESQL", 200)
    folder = house.put()
    backup_id = await house.register(folder)
    await house.index(backup_id)
    add_message(folder)
    seen: set[int] = set()
    done = asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            async with house.resources.db.reading() as session:
                rows, total = await listing.messages(session, backup_id, None, 5, ROWS // 2)
            seen.add(total)
            assert len(rows) == 5

    reader = asyncio.create_task(look())
    await house.index(backup_id)
    done.set()
    await reader

    assert seen <= {truth["messages"], truth["messages"] + 1}


async def test_a_failed_attempt_goes_on_after_its_last_batch(
    house: House, truth: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = await house.register(house.put("ada/one"))
    await house.index(undisturbed)
    gate = Gate(monkeypatch, before=4)
    real = write_messages
    crashed = False

    async def crash_once(session: Any, messages: Any, attachments: Any) -> None:
        nonlocal crashed
        await real(session, messages, attachments)
        if len(gate.batches) == 4 and not crashed:
            crashed = True
            raise RuntimeError("the machine is on fire")

    monkeypatch.setattr("app.backups.indexing.write_messages", crash_once)
    gate.opened.set()
    backup_id = await house.register(house.put("ada/two"))
    row = await house.index(backup_id)
    assert (row.status, row.error_type) == ("queued", "unexpected")
    assert (await house.backup(backup_id)).status == "INDEXING"
    assert await house.seen(backup_id) == {}

    row = await house.run_when_due(row.id)

    assert row.status == "completed"
    assert row.processed_items == row.total_items == truth["messages"]
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
    assert row.processed_items == row.total_items == truth["messages"] + 2
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


async def test_a_dying_child_costs_its_domain_and_not_the_worker(
    house: House, truth: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = house.put()
    backup_id = await house.register(folder)
    await house.index(backup_id)
    add_message(folder)
    real = ChildPool.stream

    async def dying(pool: ChildPool, request: Any) -> AsyncGenerator[Any, None]:
        number = 0
        async for frame in real(pool, request):
            yield frame
            number += 1
            if request["do"] == "messages" and number > 2:  # head and one batch
                raise ChildDied("The process that read this input crashed.", "crash")

    monkeypatch.setattr(ChildPool, "stream", dying)

    row = await house.index(backup_id)

    assert row.status == "completed"
    (warning,) = (await house.backup(backup_id)).warnings
    assert (warning["code"], warning["artifact"]) == ("hostile", "messages")
    assert await house.seen(backup_id) == counts_of(truth)
    assert await house.stored() == sum(counts_of(truth).values())


async def test_two_backups_of_one_phone_live_side_by_side(
    house: House, truth: dict[str, int]
) -> None:
    first, second = house.put("ada/old"), house.put("ada/new")
    add_message(second)
    one, two = await house.register(first), await house.register(second)
    await house.index(one)
    await house.index(two)

    assert (await house.seen(one))["messages"] == truth["messages"]
    assert (await house.seen(two))["messages"] == truth["messages"] + 1


async def test_a_database_that_changes_while_it_is_read_is_read_again_next_time(
    house: House, truth: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = house.put()
    backup_id = await house.register(folder)
    add = MessagesRun._add

    async def touch(run: MessagesRun, records: Any, rowid: int, lost: int) -> None:
        sms(folder).touch()
        await add(run, records, rowid, lost)

    monkeypatch.setattr(MessagesRun, "_add", touch)
    row = await house.index(backup_id)
    assert [one["code"] for one in row.result["warnings"]] == ["changed_while_read"]
    monkeypatch.setattr(MessagesRun, "_add", add)

    row = await house.index(backup_id)

    assert row.result["domains"] == {"messages": "indexed"}
    assert row.result["warnings"] == []
    assert await house.seen(backup_id) == counts_of(truth)


async def test_progress_is_two_thirds_when_two_thirds_are_done(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = house.root / "ada/small"
    make_backup(folder, messages=150, seed=1)
    with closing(sqlite3.connect(sms(folder))) as source:  # no reactions: 150 of 150 are messages
        source.execute("UPDATE message SET associated_message_type = 0")
        source.commit()
    monkeypatch.setattr(indexing, "BATCH", 100)
    gate = Gate(monkeypatch, before=2)
    backup_id = await house.register(folder)
    job_id = await house.jobs.ask(IndexBackup(backup_id=backup_id))
    async with house.jobs.on_shift() as worker:
        await worker.claim()
        await asyncio.wait_for(gate.reached.wait(), 10)
        row = await house.jobs.row(job_id)
        assert (row.processed_items, row.total_items, row.progress_percent) == (100, 150, 67)
        assert row.stage == "messages"


async def pointer_of(house: House) -> list[tuple[Any, ...]]:
    async with house.resources.db.reading() as session:
        rows = (await session.execute(select(BackupArtifact.__table__))).all()
    return [tuple(row) for row in rows]
