import gzip
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.backups.parsers.backup_files import file_id
from app.backups.parsers.errors import NotInBackup, UnsupportedSchema
from app.backups.parsers.note_body import MAX_BODY_BYTES, Body, read_body, read_table
from app.backups.parsers.note_records import FIRST_LEGACY, Attachment, Folder, Note
from app.backups.parsers.notes import Notes
from app.backups.parsers.notes_legacy import LegacyNotes, text_from_html
from app.backups.parsers.protobuf import ProtobufError
from app.backups.parsers.source import Source
from app.backups.reading_artifacts import read_notes
from tests.backups.parsers.note_store import HASHTAG, TABLE, NoteStore, body, table
from tests.backups.parsers.tables import Tables
from tests.backups.parsers.wire import field

DOMAIN = "AppDomainGroup-group.com.apple.notes"
LEGACY = {
    "ZNOTE": "ZTITLE, ZSUMMARY, ZBODY, ZSTORE, ZCREATIONDATE, ZMODIFICATIONDATE, ZDELETEDFLAG,"
    " ZGUID, ZSERVERID, ZISBOOKKEEPINGENTRY",
    "ZNOTEBODY": "ZCONTENT, ZOWNER",
    "ZSTORE": "ZNAME, ZACCOUNT",
    "ZACCOUNT": "ZNAME",
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NoteStore]:
    made = NoteStore(tmp_path / "NoteStore.sqlite")
    yield made
    made.db.close()


def test_a_plain_note(store: NoteStore) -> None:
    store.note(
        body("Boat\nwith oars", field(1, 4) + field(9, "https://example.com")),
        ZIDENTIFIER="N1", ZTITLE1="Boat", ZSNIPPET="with oars", ZFOLDER=4, ZISPINNED=1,
        ZCREATIONDATE3=704735807.25, ZMODIFICATIONDATE1=704735850, ZHASCHECKLIST=1,
    )  # fmt: skip

    assert read(store) == [
        Note(
            5, "N1", "Boat", "Boat\nwith oars", "with oars", "Notes/2024", "iCloud",
            datetime(2023, 5, 2, 15, 56, 47, 250000, tzinfo=UTC),
            datetime(2023, 5, 2, 15, 57, 30, tzinfo=UTC), True, False, False, False, False, True,
            [], ["https://example.com"], [], False,
        )
    ]  # fmt: skip


@pytest.mark.parametrize("shift", [0, 1, -3])
def test_classes_are_named_and_not_numbered(tmp_path: Path, shift: int) -> None:
    store = NoteStore(tmp_path / "store", shift)
    store.note(body("Boat"))
    store.db.close()

    assert [one.text for one in read(store)] == ["Boat"]


def test_without_names_the_columns_tell_the_class(store: NoteStore) -> None:
    store.attach(store.note(body("Boat")))
    store.db.execute("DELETE FROM Z_PRIMARYKEY")

    (note,) = read(store)

    assert (note.text, note.folder, note.account) == ("Boat", "Notes", "iCloud")
    assert len(note.attachments) == 1


@pytest.mark.parametrize(
    ("columns", "account"),
    [
        ({"ZACCOUNT7": 1}, "iCloud"),
        ({"ZACCOUNT7": None, "ZACCOUNT3": 1}, "iCloud"),
        ({"ZACCOUNT7": 3, "ZACCOUNT": 1}, "iCloud"),
        ({"ZACCOUNT7": None}, "iCloud"),
        ({"ZACCOUNT7": None, "ZFOLDER": None}, None),
    ],
)
def test_the_account(store: NoteStore, columns: dict[str, Any], account: str | None) -> None:
    store.note(**columns)

    assert read(store)[0].account == account


def test_until_ios_10_a_table_joins_folders_and_notes(store: NoteStore) -> None:
    note = store.note(body("Boat"), ZFOLDER=None, ZACCOUNT7=None)
    store.note(body("nowhere"), ZFOLDER=None, ZACCOUNT7=None)
    store.db.execute("ALTER TABLE ZICCLOUDSYNCINGOBJECT DROP COLUMN ZFOLDER")
    store.db.execute("CREATE TABLE Z_12NOTES (Z_12FOLDERS, Z_9NOTES)")
    store.db.execute("INSERT INTO Z_12NOTES VALUES (4, ?), ('x', NULL), (99, 98)", (note,))

    assert [(one.folder, one.account) for one in read(store)] == [
        ("Notes/2024", "iCloud"),
        (None, None),
    ]


def test_a_body_may_name_its_note(store: NoteStore) -> None:
    note = store.note(ZNOTEDATA=None)
    store.add("ZICNOTEDATA", ZNOTE=note, ZDATA=body("Boat"))

    assert [one.text for one in read(store)] == ["Boat"]


def test_a_locked_note_has_a_title_only(store: NoteStore) -> None:
    store.note(b"\x83\x12" * 90, ZISPASSWORDPROTECTED=1, ZTITLE1="Secret")
    store.note(b"bplist00\xd4\x01", ZTITLE1="Also secret")
    locked = store.note(body("no longer"), ZISPASSWORDPROTECTED=1, ZTITLE1="Third")
    store.attach(locked, TABLE, ZMERGEABLEDATA1=table([["a"]]))

    notes = read(store)

    assert [(one.title, one.text, one.locked) for one in notes] == [
        ("Secret", None, True),
        ("Also secret", None, True),
        ("Third", None, True),
    ]


def test_deletion_comes_in_two_kinds(store: NoteStore) -> None:
    inside = store.folder("gone", ZPARENT=2)
    store.note(body("in the trash"), ZFOLDER=2)
    store.note(body("in a folder in the trash"), ZFOLDER=inside)
    store.note(None, ZMARKEDFORDELETION=1, ZTITLE1="New Note")
    store.note(body("alive"))

    assert [(one.trashed, one.tombstone) for one in read(store)] == [
        (True, False),
        (True, False),
        (False, True),
        (False, False),
    ]


def test_shared_notes(store: NoteStore) -> None:
    store.note(ZSERVERSHAREDATA=b"share")
    store.note(ZINVITATION=3)
    store.note(ZSERVERSHAREDATA=b"", ZINVITATION=0)

    assert [one.shared for one in read(store)] == [True, True, False]


def test_tags_stand_once_and_mentions_are_none(store: NoteStore) -> None:
    note = store.note(body("Boat \ufffc"))
    for text, uti in (
        ("#travel", HASHTAG),
        ("#sea", None),
        ("#travel", HASHTAG),
        ("@Ada", "com.apple.notes.inlinetextattachment.mention"),
    ):
        store.put("ICInlineAttachment", ZNOTE1=note, ZALTTEXT=text, ZTYPEUTI1=uti)

    assert read(store)[0].tags == ["#travel", "#sea"]


def test_cells_of_tables_follow_the_text(store: NoteStore) -> None:
    note = store.note(body("Boats\n\ufffc"))
    cells = [["name", "oars"], ["Ada", "2"], ["Bo", ""]]
    store.attach(note, TABLE, ZMERGEABLEDATA1=table(cells, order=[2, 0, 1]))
    store.attach(note, TABLE, ZMERGEABLEDATA1=b"damaged")
    store.attach(note, TABLE)

    (found,) = read(store)

    assert found.text == "Boats\n\ufffc\nname\toars\nAda\t2\nBo\t"
    assert found.attachments == []


def test_attachments_and_the_words_in_them(store: NoteStore, tmp_path: Path) -> None:
    note = store.note(body("Boat \ufffc"))
    media = store.put("ICMedia", ZIDENTIFIER="MED", ZFILENAME="a.jpg", ZGENERATION1="1_X")
    store.attach(note, ZMEDIA=media, ZIDENTIFIER="A1", ZFILESIZE=42, ZTITLE="a")
    scan = store.attach(note, "com.apple.notes.gallery", ZUSERTITLE="Scan")
    store.attach(None, ZPARENTATTACHMENT=scan, ZOCRSUMMARY="receipt", ZHANDWRITINGSUMMARY="oars")
    store.attach(note, "public.url", ZURLSTRING="https://example.com")
    path = "Accounts/ACC/Media/MED/1_X/a.jpg"
    name = file_id(DOMAIN, path)
    (tmp_path / name[:2]).mkdir()
    (tmp_path / name[:2] / name).touch()

    (found,) = read(store, folder=tmp_path)

    assert found.attachments == [
        Attachment("A1", "a.jpg", "public.jpeg", 42, name, True, "a", None),
        Attachment(None, None, "com.apple.notes.gallery", None, None, False, "Scan", None),
        Attachment(None, None, "public.jpeg", None, None, False, None, "receipt\noars"),
        Attachment(None, None, "public.url", None, None, False, None, "https://example.com"),
    ]


def test_folders_that_contain_themselves_end(store: NoteStore) -> None:
    store.db.execute("UPDATE ZICCLOUDSYNCINGOBJECT SET ZPARENT = 4 WHERE id IN (3, 4)")
    one = store.attach(None)
    store.db.execute("UPDATE ZICCLOUDSYNCINGOBJECT SET ZPARENTATTACHMENT = id WHERE id = ?", (one,))
    store.note(body("Boat"), ZFOLDER=4)

    assert len(read(store)) == 1


def test_heads(store: NoteStore) -> None:
    with Source(store.path) as source:
        heads = Notes(source).heads

    assert [one.name for one in heads["accounts"]] == ["iCloud"]
    trash, notes, inner = heads["folders"]
    assert trash.kind == "trash"
    assert notes == Folder(3, None, "Notes", "Notes", "iCloud", "normal")
    assert inner.path == "Notes/2024"


def test_a_title_may_come_from_the_text(store: NoteStore) -> None:
    store.note(body("\n \ufffc \nBoat\nmore"))

    assert read(store)[0].title == "Boat"


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"plain",
        "text",
        gzip.compress(b"\xff" * 50, mtime=0),
        body("Boat")[:-12][:20],
        gzip.compress(b"\0" * (MAX_BODY_BYTES + 1), mtime=0),
    ],
)
def test_bodies_that_cannot_be_read_leave_a_note_without_text(
    store: NoteStore, blob: object
) -> None:
    store.note(blob, ZTITLE1="Boat")

    assert [(one.title, one.text) for one in read(store)] == [("Boat", None)]


def test_many_bombs_neither_fill_the_memory_nor_take_long(store: NoteStore) -> None:
    text = "a" * (MAX_BODY_BYTES // 4)
    bomb = body(text)
    for _ in range(12):
        store.note(bomb)
    started = time.perf_counter()

    with Source(store.path) as source:
        sizes = [len(batch.records) for batch in Notes(source).batches()]

    assert (sum(sizes), max(sizes)) == (12, 2)
    assert time.perf_counter() - started < 20


def test_zlib_bodies_are_read_too() -> None:
    data = field(2, field(3, field(2, "Boat")))

    assert read_body(zlib.compress(data)) == Body("Boat", [])


@given(st.lists(st.lists(st.text(max_size=5), min_size=3, max_size=3), min_size=1, max_size=5))
def test_every_table_is_read_as_it_is_seen(rows: list[list[str]]) -> None:
    rows = [[cell.replace("\0", "") for cell in row] for row in rows]

    assert read_table(table(rows)) == rows


@settings(max_examples=200)
@given(st.data())
def test_damaged_tables_are_cells_or_one_kind_of_error(data: st.DataObject) -> None:
    content = bytearray(gzip.decompress(table([["a", "b"], ["c", "d"]])))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

    try:
        rows = read_table(gzip.compress(bytes(content)))
    except ProtobufError:
        return
    assert all(isinstance(cell, str) for row in rows for cell in row)


def test_a_table_whose_objects_name_each_other_forever_ends() -> None:
    entry = field(6, field(1, field(1, field(6, 1)) + field(2, field(6, 1))) * 50_000)
    root = field(13, field(1, 0) + b"".join(
        field(3, field(1, key) + field(2, field(6, 1))) for key in range(3)
    ))  # fmt: skip
    names = b"".join(field(4, one) for one in ("crRows", "crColumns", "cellColumns"))
    content = field(3, root) + field(3, entry) * 20 + names + field(5, "com.apple.notes.ICTable")
    started = time.perf_counter()

    assert read_table(gzip.compress(field(2, field(3, content)))) == []
    assert time.perf_counter() - started < 10


def test_another_database_is_refused(tmp_path: Path) -> None:
    other = Tables(tmp_path / "other", {"message": "text"})
    other.db.close()

    with Source(other.path) as source, pytest.raises(UnsupportedSchema, match="NoteStore"):
        Notes(source)
    with Source(other.path) as source, pytest.raises(UnsupportedSchema, match="ZNOTE"):
        LegacyNotes(source)


def test_old_notes_come_after_the_new_ones(store: NoteStore, tmp_path: Path) -> None:
    store.note(body("new"))
    old = legacy(tmp_path)

    request = {
        "database": str(store.path),
        "extra": {"notes_legacy": {"database": str(old.path)}},
        "batch": 1,
    }
    head, *frames, end = read_notes(request)
    _, *rest, _ = read_notes({**request, "after_rowid": FIRST_LEGACY + 1})
    _, *alone, _ = read_notes({**request, "database": None})

    notes = [one for frame in frames for one in frame[1]]
    assert [one.text for one in notes] == ["new", "Dear Ada,\nbring oars & rope\nBo", None]
    assert [one.id for one in notes[1:]] == [FIRST_LEGACY + 1, FIRST_LEGACY + 2]
    assert (notes[1].folder, notes[1].account, notes[1].is_legacy) == (
        "Notes",
        "On My iPhone",
        True,
    )
    assert (notes[1].title, notes[1].identifier) == ("Dear Ada,", "G1")
    assert [one.tombstone for one in notes] == [False, False, True]
    assert [one.id for frame in rest for one in frame[1]] == [FIRST_LEGACY + 2]
    assert [one.id for frame in alone for one in frame[1]] == [FIRST_LEGACY + 1, FIRST_LEGACY + 2]
    assert (head[1]["total"], end[1]["counts"]["notes"]) == (3, 3)
    assert len(head[1]["accounts"]) == 2


def test_no_notes_at_all_are_not_in_the_backup() -> None:
    with pytest.raises(NotInBackup):
        list(read_notes({"database": None}))


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("plain", "plain"),
        ("a<br>b<BR/>c", "a\nb\nc"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<style>p {}</style>x<script>if (a < b) y()</script>", "x"),
        ("1 &lt; 2 &amp; 3", "1 < 2 & 3"),
        ("a < b", "a < b"),
        ("<b>bold</b> <breeze>", "bold"),
        ("<p></p>", None),
    ],
)
def test_html(markup: str, text: str | None) -> None:
    assert text_from_html(markup) == text


@pytest.mark.parametrize("piece", ["<", "<style>", "<!--", "&#", "<a ", "</"])
def test_hostile_html_takes_no_time(piece: str) -> None:
    started = time.perf_counter()

    text_from_html(piece * 200_000)

    assert time.perf_counter() - started < 5


def legacy(folder: Path) -> Tables:
    old = Tables(folder / "notes.sqlite", LEGACY)
    old.add("ZACCOUNT", ZNAME="On My iPhone")
    old.add("ZSTORE", ZNAME="Notes", ZACCOUNT=1)
    html = "<html><head><title>x</title></head><div>Dear Ada,</div>bring oars &amp; rope<br>Bo"
    content = old.add("ZNOTEBODY", ZCONTENT=html)
    old.add("ZNOTE", ZTITLE="Dear Ada,", ZBODY=content, ZSTORE=1, ZCREATIONDATE=7e8, ZGUID="G1")
    old.add("ZNOTE", ZTITLE="gone", ZBODY=b"?", ZSTORE=9, ZDELETEDFLAG=1)
    old.db.close()
    return old


def read(store: NoteStore, folder: Path | None = None) -> list[Note]:
    with Source(store.path) as source:
        return [one for batch in Notes(source, folder).batches() for one in batch.records]
