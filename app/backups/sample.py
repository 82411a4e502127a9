"""A small backup folder made up on the spot, with all six domains: for `headway demo` and tests.

Most text is in attributedBody only, and everything that makes messages more than text occurs:
tapbacks given and taken back, edits, unsent messages, replies, effects, group events, attachments
that are there and some that are missing, recently deleted messages.
"""

import plistlib
import random
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.backups import (
    sample_calendar,
    sample_contacts,
    sample_notes,
    sample_photos,
    sample_whatsapp,
)
from app.backups.manifest import LOGICAL_FILES, compute_file_id
from app.backups.sample_messages import INDEXES, NEWEST_S, SCHEMA, SampleMessages, insert, place

_SMALL: dict[str, Any] = {
    "contacts": sample_contacts,
    "notes": sample_notes,
    "calendar": sample_calendar,
    "photos": sample_photos,
}
_ITEMS = ("contacts", "messages", "whatsapp_messages", "notes", "events", "photos")


def make_backup(folder: Path, *, messages: int, seed: int = 7) -> dict[str, int]:
    """Write an unencrypted backup folder with `messages` rows of the table `message`.

    Args:
        folder: where; made if missing. Files of an earlier sample are replaced.
        messages: rows; a few per cent of them are tapbacks. 20,000 take about a second.
        seed: equal seeds give equal content.

    Returns:
        What a reader must find: "rows", "messages" (rows that are no tapbacks), "reaction_rows",
        "conversations", "groups", "text_from_body", "edited", "unsent", "replies", "effects",
        "group_event", "deleted", "attachments", "attachments_present"; of the other databases
        "contacts", "whatsapp_chats", "whatsapp_messages", "whatsapp_attachments", "notes",
        "calendars", "events", "photos"; and "items" of all domains.
    """
    chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
    sample = SampleMessages(folder, chance)
    truth = sample.truth
    with _database(folder, "messages", SCHEMA) as db:
        sample.write(db, messages)
        db.execute("COMMIT")
        db.executescript(f"{INDEXES} BEGIN;")
    with _database(folder, "whatsapp", sample_whatsapp.SCHEMA) as db:
        sample_whatsapp.write(db, chance, truth, messages // 20)
    for name, made in _SMALL.items():
        with _database(folder, name, made.SCHEMA) as db:
            made.write(db, chance, truth)
    databases = [LOGICAL_FILES[name] for name in ("messages", "whatsapp", *_SMALL)]
    _write_manifest(folder, [*databases, *sample.files])
    _write_plists(folder)
    truth["items"] = sum(truth[name] for name in _ITEMS)
    return dict(truth)


@contextmanager
def _database(folder: Path, name: str, schema: str) -> Generator[sqlite3.Connection]:
    """A new database in its place, filled in one transaction."""
    path = place(folder, *LOGICAL_FILES[name])
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {schema} BEGIN;")
        yield db
        db.execute("COMMIT")


def _write_manifest(folder: Path, files: list[tuple[str, str]]) -> None:
    path = folder / "Manifest.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT,"
            " flags INTEGER, file BLOB)"
        )
        db.execute("CREATE INDEX FilesRelativePathIdx ON Files(relativePath)")
        rows = [(compute_file_id(*file), *file, 1) for file in files]
        insert(db, "Files", "fileID domain relativePath flags", rows)
        db.commit()


def _write_plists(folder: Path) -> None:
    when = datetime.fromtimestamp(978_307_200 + NEWEST_S, UTC).replace(tzinfo=None)
    device = {"DeviceName": "Sample iPhone", "ProductVersion": "18.5", "ProductType": "iPhone14,5"}
    contents: dict[str, dict[str, Any]] = {
        "Manifest.plist": {
            "IsEncrypted": False,
            "Version": "10.0",
            "Date": when,
            "Lockdown": device,
        },
        "Status.plist": {"IsFullBackup": True, "SnapshotState": "finished", "Version": "3.3"},
        "Info.plist": {
            "Device Name": device["DeviceName"],
            "Product Version": device["ProductVersion"],
            "Product Type": device["ProductType"],
            "Last Backup Date": when,
        },
    }
    for name, content in contents.items():
        (folder / name).write_bytes(plistlib.dumps(content))
