"""`backup_index` on a whole sample backup: meaning, progress, replacing under readers' eyes."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import func, select

from app.backups import domain_run, generations, listing
from app.backups.domain_run import Batch, DomainRun
from app.backups.items.messages import Message, MessageAttachment, MessageConversation
from app.backups.jobs import IndexBackup
from app.backups.models import BackupArtifact
from app.backups.sample import make_backup
from app.backups.search import by_words
from app.core.processes import ChildDied, ChildPool
from app.core.search import Asked, parse
from tests.backups.house import (
    ROWS,
    Gate,
    House,
    add_message,
    counts_of,
    items_of,
    outcomes,
    sms,
)


async def test_everything_in_the_backup_is_stored_once(house: House, truth: dict[str, int]) -> None:
    backup_id = await house.register(house.put())

    row = await house.index(backup_id)

    assert (row.status, row.progress_percent, row.error_message) == ("completed", 100, None)
    assert row.total_items == row.processed_items == items_of(truth)
    assert row.result["counts"] == counts_of(truth)
    assert row.result["warnings"] == []
    assert await house.seen(backup_id) == counts_of(truth)
    backup = await house.backup(backup_id)
    assert (backup.status, backup.device, backup.ios_version) == (
        "INDEXED", "Sample iPhone", "18.5",
    )  # fmt: skip
    found = await house.rows(backup_id, Message)
    chats = await house.rows(backup_id, MessageConversation)
    files = await house.rows(backup_id, MessageAttachment)
    assert sum(bool(one["edits"]) for one in found) == truth["edited"]
    assert sum(one["unsent"] for one in found) == truth["unsent"]
    assert sum(bool(one["reply_to_guid"]) for one in found) == truth["replies"]
    assert sum(bool(one["effect"]) for one in found) == truth["effects"]
    assert sum(bool(one["deleted_at"]) for one in found) == truth["deleted"]
    assert sum(one["kind"] == "group_event" for one in found) == truth["group_event"]
    assert sum(bool(one["reactions"]) for one in found) > 0
    assert sum(one["file_present"] is True for one in files) == truth["attachments_present"]
    assert sum(one["message_count"] for one in chats) == truth["messages"]


async def test_a_second_run_of_an_unchanged_backup_changes_no_row(
    house: House, truth: dict[str, int]
) -> None:
    backup_id = await house.register(house.put())
    await house.index(backup_id)
    before = await house.content(backup_id)
    pointer = await pointer_of(house)

    row = await house.index(backup_id)

    assert row.status == "completed"
    assert row.result["domains"] == outcomes("unchanged")
    assert row.processed_items == row.total_items == items_of(truth)
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

    assert row.result["domains"] == outcomes("unchanged", messages="indexed")
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
    searched: set[int] = set()
    asked = Asked(parse("station"), "station", None, best=1)
    async with house.resources.db.reading() as session:
        before = (await by_words(house.resources, session, asked)).total
    done = asyncio.Event()

    async def look() -> None:
        live = generations.live(backup_id, "messages")
        count = select(func.count()).select_from(Message)
        count = count.where(Message.backup_id == backup_id, Message.generation == live)
        while not done.is_set():
            async with house.resources.db.reading() as session:
                seen.add((await session.execute(count)).scalar_one())
                rows, total = await listing.page(
                    session, backup_id, listing.LISTS["messages"], 5, ROWS // 2
                )
                found = await by_words(house.resources, session, asked)
            seen.add(total)
            searched.add(found.total)
            assert len(rows) == 5

    reader = asyncio.create_task(look())
    await house.index(backup_id)
    done.set()
    await reader

    assert seen <= {truth["messages"], truth["messages"] + 1}
    assert searched == {before}


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
            if request.get("name") == "messages" and number > 2:  # head and one batch
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
    add = DomainRun._add

    async def touch(run: DomainRun, batch: Batch, **how: Any) -> None:
        sms(folder).touch()
        await add(run, batch, **how)

    monkeypatch.setattr(DomainRun, "_add", touch)
    row = await house.index(backup_id)
    assert [one["code"] for one in row.result["warnings"]] == ["changed_while_read"]
    monkeypatch.setattr(DomainRun, "_add", add)

    row = await house.index(backup_id)

    assert row.result["domains"] == outcomes("unchanged", messages="indexed")
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
    monkeypatch.setattr(domain_run, "BATCH", 100)
    gate = Gate(monkeypatch, before=2)
    backup_id = await house.register(None, artifacts={"messages": str(sms(folder))})
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
