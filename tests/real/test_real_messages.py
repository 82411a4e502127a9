"""Messages data that nobody here wrote: ../shared/data/ios beside the repository, if it is there."""

import hashlib
import json
import plistlib
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.backups.manifest import LOGICAL_FILES, compute_file_id
from app.backups.parsers.errors import UnsupportedSchema
from app.backups.parsers.message_plists import read_summary
from app.backups.parsers.messages import Messages
from app.backups.parsers.source import Source, Table
from app.backups.parsers.typedstream import read, text_of
from app.backups.parsers.unarchiver import TypedStreamError
from app.backups.reading import read_messages

IOS = Path(__file__).parents[3] / "shared" / "data" / "ios"
BODIES = IOS / "messages" / "typedstream"
PHONES = IOS / "iLEAPP"
DAMAGED = "ExtraData"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not IOS.is_dir(), reason=f"no real data at {IOS}"),
]


@pytest.fixture(scope="module")
def truth() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((IOS / "GROUND_TRUTH.json").read_bytes())
    return found


def test_the_text_of_every_real_body(truth: dict[str, dict[str, str]]) -> None:
    for path in BODIES.iterdir():
        body, expected = path.read_bytes(), truth["typedstream"][path.name]
        if path.name == DAMAGED:
            assert (text_of(body) or "").startswith("This is parsing")
            with pytest.raises(TypedStreamError):
                read(body)
        else:
            assert (text_of(body), read(body).text) == (expected, expected), path.name
            assert "".join(run.text for run in read(body).runs) == expected, path.name


def test_the_parts_of_real_bodies() -> None:
    many = read((BODIES / "MultiAttachment").read_bytes()).attachments()
    mixed = read((BODIES / "MultiPartWithDeleted").read_bytes())
    link = read((BODIES / "URL").read_bytes())

    assert [part for part, _ in many] == list(range(19))
    assert many[18][1] == "at_18_48B9C973-3466-438C-BE72-E5B498D30772"
    assert mixed.attachments() == [(1, "D0551D89-4E11-43D0-9A0E-06F19704E97B")]
    assert link.links() == [(link.text, "https://github.com/ReagentX/Logria")]


def test_real_edits() -> None:
    folder = IOS / "messages" / "edited_message"
    found = {path.stem: read_summary(binary(path)) for path in folder.iterdir()}

    assert found["Deleted"] == ([], None, True)
    assert [one.text for one in found["EditedAndDeleted"].edits] == [
        "Second message",
        "Second message got edited!",
    ]
    assert (
        found["EditedToLink"].current == "https://github.com/ReagentX/imessage-exporter/issues/10"
    )
    assert [one.text for one in found["EditedWithFormatting"].edits] == ["Test", "Test"]
    assert not found["EditedAndDeleted"].unsent


def test_a_real_chat_db() -> None:
    database = IOS / "messages" / "imessage_chat.db"
    before = hashlib.sha256(database.read_bytes()).hexdigest()

    head, frame, end = list(read_messages({"database": str(database), "folder": str(IOS)}))

    messages = frame[1].records()
    assert (head[1]["total"], len(messages), len(head[1]["conversations"])) == (10, 10, 7)
    assert messages[0].text.startswith("Hey Kenneth, it's Eireanne!")
    assert messages[0].sent_at == datetime(2015, 11, 22, 18, 9, 46, tzinfo=UTC)
    assert [one.is_from_me for one in messages].count(True) == 5
    assert {one.sender for one in messages if one.is_from_me} == {"ken.doh@icloud.com"}
    assert sum(one.message_count for one in head[1]["conversations"]) <= 10
    assert end[1]["warnings"] == []
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
    assert not database.with_name("imessage_chat.db-wal").exists()


def test_bodies_of_a_real_chat_db_equal_their_texts() -> None:
    with Source(IOS / "messages" / "imessage_chat.db") as source:
        (rows,) = source.scan(Table("message", ("text", "attributedBody")))

    # Whoever published this file changed the texts of two rows and left their bodies alone.
    assert [row[0] for row in rows if text_of(row[2]) != row[1]] == [6, 10]
    assert [read(row[2]).text for row in rows] == [text_of(row[2]) for row in rows]


@pytest.mark.parametrize("schema", ["sms_plaso.sql", "sms_imx.sql"])
def test_real_schemas_without_rows_are_read(tmp_path: Path, schema: str) -> None:
    with Source(from_schema(tmp_path, schema)) as source:
        messages = Messages(source)

        assert (messages.total, messages.conversations, list(messages.batches())) == (0, [], [])


def test_ios_5_is_refused_politely(tmp_path: Path) -> None:
    database = from_schema(tmp_path, "sms_eich.sql")

    with Source(database) as source, pytest.raises(UnsupportedSchema, match="iOS 5"):
        Messages(source)


def test_content_in_the_log_only_is_found_and_left_alone() -> None:
    book = next(PHONES.glob("*belkasoft*/**/AddressBook.sqlitedb"))
    before = {path.name: path.read_bytes() for path in book.parent.iterdir()}

    with Source(book) as source:
        people = [row for rows in source.scan(Table("ABPerson", ("First", "Last"))) for row in rows]

    assert people == [(1, "William", "Phorger")]
    assert {path.name: path.read_bytes() for path in book.parent.iterdir()} == before


def test_file_ids_of_a_real_manifest(truth: dict[str, dict[str, str]]) -> None:
    for name, file_id in truth["manifest_ids"].items():
        assert compute_file_id(*LOGICAL_FILES[name]) == file_id


def binary(path: Path) -> bytes:
    return plistlib.dumps(plistlib.loads(path.read_bytes()), fmt=plistlib.FMT_BINARY)


def from_schema(folder: Path, name: str) -> Path:
    """An empty database of a real generation; its triggers call functions of the phone."""
    lines = (IOS / "schemas_exact" / name).read_text().splitlines()
    wanted = ("CREATE TABLE", "CREATE INDEX", "CREATE UNIQUE")
    path = folder / "sms.db"
    with closing(sqlite3.connect(path)) as db:
        for line in lines:
            if line.startswith(wanted) and "sqlite_sequence" not in line:
                db.execute(line)
    return path
