"""Notes that nobody here wrote: ../shared/data/ios beside the repository, if they are there."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.backups.parsers.apple_time import EPOCH
from app.backups.parsers.note_body import read_body, read_table
from app.backups.parsers.note_records import Note
from app.backups.parsers.notes import Notes
from app.backups.parsers.source import Source
from app.backups.reading_artifacts import read_notes
from tests.real.phones import EXPECTED, IOS, contents, fixture, from_schema

PHONE = "iLEAPP/notes.notes.josh_ios17_ffs"
MACS = {
    "Monterey": "notes/NoteStore-macOS-12-Monterey.sqlite",
    "Sonoma": "notes/NoteStore-macOS-14-Sonoma.sqlite",
    "Tahoe": "notes/NoteStore-macOS-26-Tahoe.sqlite",
}
STORES = (PHONE, *MACS.values())
BLOBS = IOS / "notes" / "exported_blobs"
SCHEMAS = sorted((IOS / "schemas_exact").glob("notes_*.sql")) if IOS.is_dir() else []

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not IOS.is_dir(), reason=f"no real data at {IOS}"),
]


@pytest.fixture(scope="module")
def truth() -> dict[str, list[dict[str, Any]]]:
    known: dict[str, Any] = json.loads((IOS / "GROUND_TRUTH.json").read_bytes())["notes"]
    return {name: notes for name, notes in known.items() if name in STORES}


@pytest.mark.parametrize("name", STORES)
def test_every_note_is_what_is_known_of_it(
    name: str, truth: dict[str, list[dict[str, Any]]]
) -> None:
    notes = read(name)

    assert {one.id for one in notes} == {one["pk"] for one in truth[name]}
    for known in truth[name]:
        (note,) = (one for one in notes if one.id == known["pk"])
        assert note.identifier == known["identifier"]
        assert known["title"] is None or note.title == known["title"]
        assert (note.locked, note.tombstone) == (known["locked"], known["tombstone"])
        assert (note.trashed, note.folder) == (known["in_trash"], known["folder"])
        assert note.account == known["account"]
        assert (note.text or "").startswith(known["text"] or "")
        assert "Header 1" in (note.text or "") or (note.text or "") == (known["text"] or "")
        for ours, theirs in (("created_at", "created_mac"), ("modified_at", "modified_mac")):
            assert (getattr(note, ours) - EPOCH).total_seconds() == pytest.approx(
                known[theirs], abs=1e-5
            )


@pytest.mark.parametrize("name", MACS.values())
def test_tables_tags_and_files(name: str) -> None:
    notes = {one.title: one for one in read(name)}

    text = notes["This note has special formatting"].text or ""
    assert text.endswith("Header 1\tHeader 2\nItem 1\tItem 2")
    assert notes["This note has special formatting"].has_checklist
    if name == MACS["Tahoe"]:
        assert notes["This note has tags"].tags == ["#travel", "#vacation"]
    if name == MACS["Sonoma"]:
        (file,) = notes["This note has an attachment"].attachments
        assert (file.filename, file.uti, file.size_bytes) == (
            "bitcoin.pdf",
            "com.adobe.pdf",
            184292,
        )
        assert file.file_id is not None


def test_notes_equal_those_of_ileapp() -> None:
    (path,) = EXPECTED.glob("notes.notes.josh_ios17_ffs.*.json")
    report = json.loads(path.read_bytes())
    notes = {
        one.created_at.strftime("%F %T") + str(one.title): one
        for one in read(PHONE)
        if one.created_at
    }

    assert len(notes) == len(report["data"])
    for row in report["data"]:
        known = dict(zip(report["headers"], row, strict=True))
        note = notes[known["Creation Date"] + str(known["Note Title"])]
        assert (note.text or "") == known["Note Contents"]
        assert (note.snippet or None) == (known["Snippet"] or None)
        assert (note.folder, note.account) == (known["Folder"], known["Storage Place"])
        assert note.locked == (known["Password Protected"] == "Yes")
        assert note.pinned == (known["Pinned"] == "Yes")
        assert note.tombstone == (known["Marked for Deletion"] == "Yes")


def test_shared_notes_are_told() -> None:
    assert {one.title for one in read(PHONE) if one.shared} == {
        "iOS 15 Note",
        "iOS 16 Note",
        "Shared iOS 17 Note",
    }


def test_real_bodies_and_tables() -> None:
    def blob(name: str) -> bytes:
        return (BLOBS / f"{name}_gzipped.bin").read_bytes()

    assert read_body(blob("simple_note_protobuf")).text == "Title"
    assert len(read_body(blob("url")).links) == 4
    assert (read_body(blob("wide_characters")).text or "").startswith("但他還是希望\n")
    assert read_table(blob("table")) == [
        ["Row 1 Column 1", "Row 1 Column 2"],
        ["Row 2 Column 1", "Row 2 Column 2"],
    ]
    assert read_table(blob("right_to_left_table")) == [["اول", ""], ["", "نهاية"]]
    assert read_table(blob("table_formats"))[0] == ["Bold", "Italics"]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_real_schemas_without_rows_are_read(tmp_path: Path, schema: Path) -> None:
    with Source(from_schema(tmp_path, f"schemas_exact/{schema.name}")) as source:
        notes = Notes(source)

        assert (notes.total, list(notes.batches())) == (0, [])


def read(name: str) -> list[Note]:
    """All notes; the files must be the same afterwards, and nothing new beside them."""
    case, _, phone = name.rpartition("/")[2].rpartition(".")
    store = IOS / name if name != PHONE else fixture(case, phone, "NoteStore.sqlite")
    before = contents(store.parent)
    _, *frames, end = read_notes({"database": str(store), "batch": 9})
    assert (end[1]["warnings"], end[1]["counts"].get("undecodable")) == ([], None)
    assert contents(store.parent) == before
    return [one for frame in frames for one in frame[1]]
