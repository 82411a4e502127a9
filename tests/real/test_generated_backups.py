"""Whole backups from ../shared/tools/backup_generator beside the repository, if it is there."""

import json
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.backups.manifest import BackupFolder
from app.backups.reading_artifacts import READERS

GENERATOR = Path(__file__).parents[3] / "shared" / "tools" / "backup_generator" / "gen_backup.py"
EXTRA = {"contacts": ["contact_images"], "whatsapp": ["whatsapp_contacts"]}

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not GENERATOR.is_file(), reason=f"no generator at {GENERATOR}"),
]


class Reading(NamedTuple):
    """What a database was made of, and what reading it gave."""

    truth: dict[str, Any]
    heads: dict[str, Any]
    records: list[Any]
    counts: dict[str, int]

    @property
    def by_id(self) -> dict[int, Any]:
        return {one.id: one for one in self.records}


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "backup"
    sizes = ["--messages", "200", "--whatsapp", "1000", "--photos", "400", "--events", "300"]
    more = ["--notes", "100", "--contacts", "150", "--files"]
    subprocess.run([sys.executable, GENERATOR, folder, *sizes, *more], check=True)
    return folder


@pytest.fixture(scope="module")
def readings(backup: Path) -> dict[str, Reading]:
    truth = json.loads(backup.with_name("backup.truth.json").read_bytes())
    folder = BackupFolder(backup)
    found = {}
    for name, reader in READERS.items():
        extra = {one: {"database": folder.artifact(one).path} for one in EXTRA.get(name, [])}
        request = {"database": folder.artifact(name).path, "folder": backup, "extra": extra}
        head, *frames, end = reader(request)
        records = [one for frame in frames for one in frame[1]]
        assert (head[1]["total"], end[1]["warnings"]) == (len(records), [])
        found[name] = Reading(truth[name], head[1], records, end[1]["counts"])
    return found


def test_contacts(readings: dict[str, Reading]) -> None:
    truth, _, cards, counts = readings["contacts"]

    assert (len(cards), counts["with_image"]) == (truth["persons"], truth["images"])
    values = sum(
        len(one.phones) + len(one.emails) + len(one.addresses) + len(one.urls) for one in cards
    )
    assert values == truth["values"]
    assert counts["addresses"] * 6 == truth["entries"]
    for known in truth["sample"]:
        card = readings["contacts"].by_id[known["id"]]
        assert (card.first_name, card.last_name) == (known["first"], known["last"])
        assert card.organization == known["org"]


def test_whatsapp(readings: dict[str, Reading]) -> None:
    truth, heads, messages, counts = readings["whatsapp"]

    types = Counter(str(one.raw_type) for one in messages)
    assert {**types, "reply": counts["replies"]} == truth["types"]
    assert len(messages) == truth["messages"]
    assert counts["reactions"] == truth["reactions"]
    kinds = Counter(one.kind for one in heads["chats"])
    assert (len(heads["chats"]), kinds["group"]) == (truth["chats"], truth["groups"])
    members = sum(len(one.participants) for one in heads["chats"] if one.kind == "group")
    assert members == truth["members"]
    with_item = ("location", "contact")
    media = counts["attachments"] + counts["replies"] + sum(counts[kind] for kind in with_item)
    assert media == truth["media"]
    assert all(file.file_present for one in messages for file in one.attachments)
    assert sum(one.message_count for one in heads["chats"]) == len(messages)
    for known in truth["sample"]:
        message = readings["whatsapp"].by_id[known["pk"]]
        assert (message.chat_id, message.raw_type) == (known["chat"], known["type"])
        assert (message.text, message.is_from_me) == (known["text"], bool(known["from_me"]))


def test_notes(readings: dict[str, Reading]) -> None:
    truth, heads, notes, counts = readings["notes"]

    assert (len(notes), len(heads["folders"])) == (truth["notes"], truth["folders"])
    for ours, theirs in (
        ("tombstones", "tombstone"),
        *((one, one) for one in ("locked", "trashed", "pinned", "attachments")),
    ):
        assert counts[ours] == truth[theirs], theirs
    for known in truth["sample"]:
        note = readings["notes"].by_id[known["pk"]]
        assert (note.title, note.text) == (known["title"], known["text"])
        assert (note.locked, note.trashed, note.tombstone) == (
            known["locked"],
            known["trashed"],
            known["deleted"],
        )


def test_calendar(readings: dict[str, Reading]) -> None:
    truth, heads, events, counts = readings["calendar"]

    assert (len(events), len(heads["calendars"])) == (truth["events"], truth["calendars"])
    assert (counts["recurring"], counts["exdates"]) == (truth["recurrences"], truth["exceptions"])
    assert counts["alarms"] == truth["alarms"]
    organizers = sum(one.organizer is not None for one in events)
    assert counts["attendees"] + organizers == truth["participants"]
    assert sum(one.location is not None for one in events) == truth["locations"]
    for known in truth["sample"]:
        event = readings["calendar"].by_id[known["id"]]
        assert (event.title, event.all_day) == (known["summary"], known["all_day"])
        assert event.floating == (known["tz"] == "_float")
        assert event.starts_at == datetime.fromtimestamp(known["start_unix"], UTC)
        assert (event.rrule is not None, event.is_birthday) == (
            known["recurring"],
            known["birthday"],
        )


def test_photos(readings: dict[str, Reading]) -> None:
    truth, heads, photos, counts = readings["photos"]

    assert (len(photos), len(heads["albums"])) == (truth["assets"], truth["albums"])
    assert counts["with_location"] == truth["with_gps"]
    assert counts["kind_video"] == truth["video"]
    for name in ("album_links", "favorite", "hidden", "trashed"):
        assert counts[name] == truth[name], name
    assert sum(len(one.albums) for one in photos) == truth["album_links"]
    assert all(one.file_present for one in photos)
    for known in truth["sample"]:
        photo = readings["photos"].by_id[known["pk"]]
        assert f"{photo.directory}/{photo.filename}" == known["file"]
        assert photo.taken_at is not None
        assert photo.taken_at.timestamp() == pytest.approx(known["unix"], abs=1e-5)
        assert (photo.latitude is not None, photo.trashed) == (known["gps"], known["trashed"])
        assert (photo.favorite, photo.hidden) == (known["favorite"], known["hidden"])
