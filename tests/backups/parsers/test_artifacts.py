"""What holds for every parser of one table, on databases made for them and on ruined ones."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.backups.parsers.calendar_records import CalendarInfo, Event
from app.backups.parsers.contact_records import Contact, ContactGroup
from app.backups.parsers.errors import SourceError
from app.backups.parsers.note_records import Account, Folder, Note
from app.backups.parsers.photo_records import Album, Photo, PhotoPerson
from app.backups.parsers.whatsapp_records import Chat, Message, Person
from app.backups.reading_artifacts import READERS
from tests.backups.parsers.address_book import AddressBook
from tests.backups.parsers.agenda import Agenda
from tests.backups.parsers.chat_storage import ChatStorage
from tests.backups.parsers.library import Library
from tests.backups.parsers.note_store import NoteStore
from tests.backups.parsers.tables import Tables


class Case(NamedTuple):
    """How to make a database of `n` records, and what reading it gives."""

    make: Callable[[Path, int], Tables]
    main: str  # the table of the records
    record: type
    heads: dict[str, type]


CASES = {
    "contacts": Case(
        lambda path, n: AddressBook(path).fill(n), "ABPerson", Contact, {"groups": ContactGroup}
    ),
    "whatsapp": Case(
        lambda path, n: ChatStorage(path).fill(n),
        "ZWAMESSAGE",
        Message,
        {"chats": Chat, "people": Person},
    ),
    "notes": Case(
        lambda path, n: NoteStore(path).fill(n),
        "ZICCLOUDSYNCINGOBJECT",
        Note,
        {"accounts": Account, "folders": Folder},
    ),
    "calendar": Case(
        lambda path, n: Agenda(path).fill(n), "CalendarItem", Event, {"calendars": CalendarInfo}
    ),
    "photos": Case(
        lambda path, n: Library(path).fill(n),
        "ZASSET",
        Photo,
        {"albums": Album, "people": PhotoPerson},
    ),
}
MANY = 120
WRONG = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=40),
    st.binary(max_size=60),
)


@pytest.fixture(params=sorted(CASES))
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def made(name: str, tmp_path: Path) -> Iterator[Tables]:
    tables = CASES[name].make(tmp_path / "made.db", MANY)
    yield tables
    tables.db.close()


def test_there_is_a_case_for_every_reader() -> None:
    assert set(CASES) == set(READERS)


def test_a_database_is_read_in_rowid_order(name: str, made: Tables) -> None:
    head, *frames, end = read(name, made.path, batch=50)

    ids = [one.id for frame in frames for one in frame[1]]
    assert ids == sorted(set(ids))
    assert len(ids) == head[1]["total"] == MANY == end[1]["counts"][name_of(name)]
    assert end[1]["warnings"] == []
    assert set(head[1]) == {"total", *CASES[name].heads}


def test_a_retry_goes_on_after_any_batch(name: str, made: Tables) -> None:
    _, *frames, _ = read(name, made.path, batch=30)
    whole = [one for frame in frames for one in frame[1]]

    assert len(frames) > 2
    for frame in frames:
        head, *rest, _ = read(name, made.path, batch=70, after_rowid=frame[2])
        assert [one for f in rest for one in f[1]] == [one for one in whole if one.id > frame[2]]
        assert head[1]["total"] == MANY


def test_frames_survive_messagepack(name: str, made: Tables) -> None:
    frames = read(name, made.path)

    assert_well_typed(name, frames)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(frames[1][1]))
    assert converted(again, CASES[name].record) == frames[1][1]


def test_any_column_and_any_other_table_may_be_missing(
    name: str, made: Tables, tmp_path: Path
) -> None:
    for table in made.tables:
        for column in (*made.columns(table)[1:], None):
            what = f"DROP COLUMN {column}" if column else "RENAME TO elsewhere"
            made.db.execute(f"ALTER TABLE {table} {what}")
            copy = tmp_path / "copy.db"
            copy.unlink(missing_ok=True)
            made.db.execute("VACUUM INTO ?", (str(copy),))
            frames = tolerant(name, copy)
            if frames:
                assert_well_typed(name, frames)
            undo = f"ADD COLUMN {column}" if column else f"RENAME TO {table}"
            made.db.execute(f"ALTER TABLE {table if column else 'elsewhere'} {undo}")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_cell_may_hold_anything(name: str, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "hostile.db"
    path.unlink(missing_ok=True)
    tables = CASES[name].make(path, 3)
    for _ in range(data.draw(st.integers(1, 8))):
        table = data.draw(st.sampled_from(sorted(tables.tables)))
        column = data.draw(st.sampled_from(tables.columns(table)[1:]))
        sql = f"UPDATE {table} SET {column} = ? WHERE id % 3 = ?"
        tables.db.execute(sql, (data.draw(WRONG), data.draw(st.integers(0, 2))))
    tables.db.close()

    assert_well_typed(name, read(name, path))


@pytest.mark.parametrize("seed", range(12))
def test_damage_costs_what_is_on_the_page(
    name: str, made: Tables, tmp_path: Path, seed: int
) -> None:
    path = made.damaged(tmp_path / "damaged.db", seed, pages=1 + seed % 4)

    frames = tolerant(name, path)

    if frames:
        assert_well_typed(name, frames)
        ids = [one.id for frame in frames[1:-1] for one in frame[1]]
        assert ids == sorted(set(ids))


def test_noise_in_the_middle_of_the_main_table_is_salvaged(name: str, tmp_path: Path) -> None:
    tables = CASES[name].make(tmp_path / "made.db", MANY)
    leaves = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'"
    pages = [row[0] for row in tables.db.execute(leaves, (CASES[name].main,))]
    page = pages[len(pages) // 2]
    tables.db.close()
    with tables.path.open("r+b") as file:
        file.seek((page - 1) * 1024)
        file.write(b"\xa5" * 1024)

    _, *frames, end = read(name, tables.path)

    found = sum(len(frame[1]) for frame in frames)
    assert MANY * 0.7 < found < MANY
    assert frames[-1][3] > 0
    assert "salvaged" in end[1]["warnings"][0]["detail"]


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"\xff" * 999])
def test_what_is_no_database_has_a_code_and_a_sentence(
    name: str, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "x.db").write_bytes(content)

    with pytest.raises(SourceError) as refusal:
        read(name, tmp_path / "x.db")

    assert refusal.value.code == "damaged"
    assert "x.db" in str(refusal.value)


def name_of(name: str) -> str:
    """What `counts` calls the records."""
    return {"calendar": "events", "whatsapp": "messages"}.get(name, name)


def read(name: str, path: Path, **request: Any) -> list[Any]:
    return list(READERS[name]({"database": str(path), **request}))


def tolerant(name: str, path: Path) -> list[Any] | None:
    """Frames, or None where the database was refused in a typed way."""
    try:
        return read(name, path)
    except SourceError:
        return None


def converted(rows: list[Any], record: type) -> list[Any]:
    return [msgspec.convert(row, record) for row in rows]


def assert_well_typed(name: str, frames: list[Any]) -> None:
    """Everything has the type that its record promises, and goes through MessagePack."""
    case = CASES[name]
    head, *batches, end = msgspec.msgpack.decode(msgspec.msgpack.encode(frames))
    for one, kind in case.heads.items():
        converted(head[1][one], kind)
    for _, rows, last_rowid, lost in batches:
        converted(rows, case.record)
        assert isinstance(last_rowid, int)
        assert isinstance(lost, int)
    msgspec.convert(end[1]["counts"], dict[str, int])
