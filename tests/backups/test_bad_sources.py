"""Backups that are missing, damaged, locked or somebody else's: a word for each, no traceback."""

import gzip
import plistlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.backups import store
from app.backups.items.notes import BackupNote
from app.backups.parsers.note_body import MAX_BODY_BYTES
from app.backups.rows.making import Written
from app.backups.rows.writing import write
from app.backups.sample import make_backup
from tests.backups.house import House, add_message, outcomes, sms


def remove(folder: Path) -> None:
    sms(folder).unlink()


def empty(folder: Path) -> None:
    sms(folder).write_bytes(b"")


def text(folder: Path) -> None:
    sms(folder).write_bytes(b"this is no database, whatever its name says\n" * 200)


def shred(folder: Path) -> None:
    whole = sms(folder).read_bytes()
    sms(folder).write_bytes(whole[:4096] + b"\xff" * 8192)


def rename_table(folder: Path) -> None:
    with closing(sqlite3.connect(sms(folder))) as db:
        db.execute("ALTER TABLE message RENAME TO letters")
        db.commit()


HARMS = {
    remove: "listed_but_missing",
    empty: "damaged",
    text: "damaged",
    shred: "damaged",
    rename_table: "unsupported_schema",
}


async def test_a_broken_database_is_a_warning(house: House) -> None:
    for harm, code in HARMS.items():
        folder = house.put(f"ada/{harm.__name__}")
        harm(folder)
        backup_id = await house.register(folder)

        row = await house.index(backup_id)

        assert (row.status, row.error_trace) == ("completed", None)
        warnings = row.result["warnings"]
        assert {(one["code"], one["artifact"]) for one in warnings} == {(code, "messages")}
        assert all(one["detail"].endswith(".") for one in warnings)
        assert row.result["domains"] == outcomes("indexed", messages=code)
        backup = await house.backup(backup_id)
        assert (backup.status, backup.warnings) == ("INDEXED", warnings)
        seen = await house.seen(backup_id)
        assert "messages" not in seen
        assert seen["notes"] == seen["whatsapp_chats"] + 12 == 20


async def test_a_database_that_broke_later_leaves_the_old_rows_to_readers(house: House) -> None:
    folder = house.put()
    backup_id = await house.register(folder)
    await house.index(backup_id)
    before = await house.content(backup_id)
    text(folder)

    await house.index(backup_id)

    assert await house.content(backup_id) == before
    assert [one["code"] for one in (await house.backup(backup_id)).warnings] == ["damaged"]


async def test_what_damage_hides_is_counted_as_failed(house: House) -> None:
    folder = house.root / "ada/damaged"
    made = make_backup(folder, messages=8000)
    path = sms(folder)
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 8192 * 4096
    for page in range(middle, middle + 3 * 40960, 40960):
        whole[page : page + 4096] = b"\xa5" * 4096
    path.write_bytes(whole)
    backup_id = await house.register(None, artifacts={"messages": str(path)})

    row = await house.index(backup_id)

    assert row.status == "completed"
    counts = await house.seen(backup_id)
    assert 0.8 * made["messages"] < counts["messages"] <= made["messages"]
    assert row.processed_items == counts["messages"]
    assert row.total_items == row.processed_items + row.failed_items
    assert "damaged" in [one["code"] for one in row.result["warnings"]]


async def test_an_encrypted_backup_fails_with_its_word(house: House) -> None:
    folder = house.put()
    manifest = plistlib.loads((folder / "Manifest.plist").read_bytes())
    (folder / "Manifest.plist").write_bytes(plistlib.dumps({**manifest, "IsEncrypted": True}))
    backup_id = await house.register(folder)

    row = await house.index(backup_id)

    assert (row.status, row.error_type, row.attempt) == ("failed", "encrypted", 1)
    backup = await house.backup(backup_id)
    assert (backup.status, backup.device) == ("FAILED", "Sample iPhone")
    assert [one["code"] for one in backup.warnings] == ["encrypted"]


async def test_an_interrupted_backup_is_read_with_a_warning(house: House) -> None:
    folder = house.put()
    (folder / "Status.plist").write_bytes(plistlib.dumps({"SnapshotState": "uploading"}))
    backup_id = await house.register(folder)

    row = await house.index(backup_id)

    assert [one["code"] for one in row.result["warnings"]] == ["interrupted_backup"]
    assert row.result["domains"] == outcomes("indexed")


async def test_a_state_that_unfolds_without_end_is_no_trouble(house: House) -> None:
    folder, state = house.put(), list[object]()
    for _ in range(12):
        state = [state] * 10
    status = plistlib.dumps({"SnapshotState": state}, fmt=plistlib.FMT_BINARY)
    (folder / "Status.plist").write_bytes(status)

    row = await house.index(await house.register(folder))

    assert [one["code"] for one in row.result["warnings"]] == ["interrupted_backup"]
    assert row.result["domains"] == outcomes("indexed")


async def test_a_bomb_in_a_note_is_a_warning(house: House) -> None:
    folder, bomb = house.put(), gzip.compress(bytes(MAX_BODY_BYTES + 1))
    which = "WHERE Z_PK = (SELECT min(Z_PK) FROM ZICNOTEDATA)"
    house.execute(folder, "notes", f"UPDATE ZICNOTEDATA SET ZDATA = x'{bomb.hex()}' {which}")
    backup_id = await house.register(folder)

    row = await house.index(backup_id)

    (warning,) = row.result["warnings"]
    assert (warning["code"], warning["artifact"]) == ("damaged", "notes")
    assert warning["detail"] == "Bodies that cannot be read: 1."
    assert row.result["domains"] == outcomes("indexed")


async def test_odd_cells_cost_nothing(house: House) -> None:
    """A photo of unknown origin; a title with more words than a tsvector has room for."""
    folder = house.put()
    house.execute(folder, "photos", "UPDATE ZASSET SET ZSAVEDASSETTYPE = NULL")
    many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
    words = f"({many} SELECT group_concat('w' || i, ' ') FROM n)"
    house.execute(folder, "calendar", f"UPDATE CalendarItem SET summary = {words}")
    backup_id = await house.register(folder)

    row = await house.index(backup_id)

    assert row.result["warnings"] == []
    assert row.result["domains"] == outcomes("indexed")


async def test_what_cannot_be_stored_costs_its_domain_only(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def picky(session: AsyncSession, written: Written, *how: Callable[[], None]) -> None:
        if any(model is BackupNote and rows for model, rows in written):
            raise sqlite3.IntegrityError("NOT NULL constraint failed")
        await write(session, written, *how)

    monkeypatch.setattr("app.backups.domain_run.write", picky)

    row = await house.index(await house.register(house.put()))

    assert (row.status, row.attempt) == ("completed", 1)
    assert row.result["domains"] == outcomes("indexed", notes="damaged")


async def test_databases_may_be_named_one_by_one(house: House) -> None:
    folder = house.put()
    whole = await house.register(folder)
    await house.index(whole)
    named = {"sms.db": str(sms(folder)), "notes": str(sms(folder))}
    backup_id = await house.register(None, artifacts=named)

    row = await house.index(backup_id)

    expected = await house.seen(whole)
    assert await house.seen(backup_id) == {
        name: expected[name] for name in ("conversations", "messages", "message_attachments")
    }
    (warning,) = row.result["warnings"]
    assert (warning["code"], warning["artifact"]) == ("unsupported_schema", "notes")
    assert row.result["domains"] == {"messages": "indexed", "notes": "unsupported_schema"}


async def test_nothing_is_written_beside_the_sources(house: House) -> None:
    folder = house.put()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    await house.index(await house.register(folder))

    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


async def test_a_link_that_was_swapped_after_the_request_opens_nothing(house: House) -> None:
    other = house.put("bob/phone")
    link = house.root / "ada" / "phone"
    link.parent.mkdir()
    mine = house.put("ada/real")
    link.symlink_to(mine)
    backup_id = await house.register(link, confined_to="ada")
    assert (await house.index(backup_id)).status == "completed"
    before = await house.seen(backup_id)
    add_message(other)
    link.unlink()
    link.symlink_to(other)

    row = await house.index(backup_id)

    assert (row.status, row.error_type, row.attempt) == ("failed", "path_refused", 1)
    assert await house.seen(backup_id) == before
    assert (await house.backup(backup_id)).status == "INDEXED"


async def test_a_link_inside_the_folder_leads_nowhere(house: House) -> None:
    other, mine = house.put("bob/phone"), house.put("ada/phone")
    sms(mine).unlink()
    sms(mine).symlink_to(sms(other))
    backup_id = await house.register(mine, confined_to="ada")

    row = await house.index(backup_id)

    assert row.result["domains"] == outcomes("indexed", messages="listed_but_missing")
    assert "messages" not in await house.seen(backup_id)


async def test_a_deleted_backup_stops_its_job(house: House) -> None:
    backup_id = await house.register(house.put())
    async with house.resources.db.transaction() as session:
        await store.remove(session, backup_id)

    row = await house.index(backup_id)

    assert (row.status, row.error_type, row.attempt) == ("failed", "backup_deleted", 1)
    assert await house.stored() == 0
