import hashlib
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.backups.parsers.errors import (
    Corrupt,
    Encrypted,
    ListedButMissing,
    SourceError,
    UnsupportedSchema,
)
from app.backups.parsers.source import Source, Table

LINES = Table("line", ("number", "words"))
ROWS = 4000


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of several hundred pages, in WAL mode as iOS leaves it."""
    path = tmp_path_factory.mktemp("original") / "lines of a phone%20.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA page_size=1024")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE line (id INTEGER PRIMARY KEY AUTOINCREMENT, number, words)")
        rows = ((number, f"line {number} " * 8) for number in range(1, ROWS + 1))
        db.execute("BEGIN")
        db.executemany("INSERT INTO line (number, words) VALUES (?, ?)", rows)
        db.execute("COMMIT")
    return path


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "copy.db"))


def test_a_database_without_log_is_read_where_it_lies(copy: Path) -> None:
    before = fingerprint(copy.parent)

    assert len(numbers(copy)) == ROWS
    assert fingerprint(copy.parent) == before


def test_a_log_beside_the_database_is_read_and_left_alone(copy: Path) -> None:
    make_log(copy, copy.with_name("copy.db-wal"))
    before = fingerprint(copy.parent)

    assert numbers(copy)[-1] == ROWS + 1
    assert fingerprint(copy.parent) == before


def test_a_log_under_another_name_is_read_too(copy: Path) -> None:
    log = copy.with_name("cd47480f213dba9bc38ee792775d17e3f5a73a59")
    make_log(copy, log)
    before = fingerprint(copy.parent)

    with Source(copy, log) as source:
        assert source.count("line") == ROWS + 1
    assert len(numbers(copy)) == ROWS
    assert fingerprint(copy.parent) == before


def test_an_empty_log_changes_nothing(copy: Path) -> None:
    copy.with_name("copy.db-wal").touch()

    assert len(numbers(copy)) == ROWS


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", Corrupt),
        (b"\0" * 8192, Corrupt),
        (b"%PDF-1.7 " * 1000, Corrupt),
        (b"SQLite format 3\0", Corrupt),
        (b"SQLite format 3\0" + b"\xff" * 5000, Corrupt),
        (random.Random(1).randbytes(8192), Encrypted),
    ],
)
def test_what_is_no_database_is_refused(
    tmp_path: Path, content: bytes, error: type[SourceError]
) -> None:
    path = tmp_path / "sms.db"
    path.write_bytes(content)

    with pytest.raises(error) as refusal:
        Source(path)

    assert refusal.value.code == error.code
    assert "sms.db" in str(refusal.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ListedButMissing):
        Source(tmp_path / "nothing")
    with pytest.raises(Corrupt):
        Source(tmp_path)


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE VIEW line AS SELECT 1 AS number, 2 AS words",
        "CREATE VIEW line AS WITH RECURSIVE n(number) AS (SELECT 1 UNION ALL SELECT number + 1 "
        "FROM n) SELECT number, number AS words FROM n",
        "CREATE VIRTUAL TABLE line USING fts5(number, words)",
    ],
)
def test_views_and_virtual_tables_do_not_pass_for_tables(tmp_path: Path, schema: str) -> None:
    with pytest.raises(UnsupportedSchema):
        numbers(database(tmp_path, schema))


def test_generated_columns_are_not_computed(tmp_path: Path) -> None:
    schema = "CREATE TABLE line (number, words AS (hex(zeroblob(10000000))) VIRTUAL)"
    path = database(tmp_path, schema, "INSERT INTO line (number) VALUES (7)")

    with Source(path) as source:
        assert source.columns("line") == {"number"}
        assert list(source.scan(LINES)) == [[(1, 7, None)]]


def test_a_table_without_rowids_is_refused(tmp_path: Path) -> None:
    schema = "CREATE TABLE line (number PRIMARY KEY, words) WITHOUT ROWID"

    with pytest.raises(UnsupportedSchema):
        numbers(database(tmp_path, schema))


def test_missing_columns_read_as_null_and_missing_tables_as_empty(copy: Path) -> None:
    with Source(copy) as source:
        assert next(source.scan(Table("LINE", ("Number", "nothing"))))[0] == (1, 1, None)
        assert list(source.scan(Table("other", ("a",)))) == []
        with pytest.raises(UnsupportedSchema, match="nothing"):
            source.require("line", ("number", "nothing"))


def test_text_comes_without_nul_and_with_broken_characters_replaced(tmp_path: Path) -> None:
    schema = "CREATE TABLE line (number, words)"
    insert = "INSERT INTO line VALUES (CAST(x'61ff62' AS TEXT), CAST(x'610062' AS TEXT))"

    with Source(database(tmp_path, schema, insert)) as source:
        assert list(source.scan(LINES)) == [[(1, "a\ufffdb", "ab")]]


@pytest.mark.parametrize(
    "sql",
    [
        *("DELETE FROM line", "CREATE TEMP TABLE x (y)", "PRAGMA writable_schema=ON"),
        *("ATTACH ':memory:' AS other", "SELECT load_extension('x')", "VACUUM INTO '/tmp/x'"),
    ],
)
def test_only_reading_is_allowed(copy: Path, sql: str) -> None:
    with Source(copy) as source, pytest.raises(sqlite3.DatabaseError):
        list(source.query(sql))


def test_a_query_that_does_not_end_is_ended(copy: Path) -> None:
    bomb = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT sum(x) FROM n"
    started = time.perf_counter()

    with Source(copy, fetch_seconds=0.2) as source, pytest.raises(Corrupt, match="hostile"):
        list(source.query(bomb))

    assert time.perf_counter() - started < 2


def test_noise_on_some_pages_costs_little_more_than_the_rows_on_them(copy: Path) -> None:
    pages = copy.stat().st_size // 1024
    leaves = random.Random(3).sample(range(20, pages - 20), pages // 40)
    for page in leaves:
        overwrite(copy, page * 1024, random.Random(page).randbytes(1024))

    with Source(copy) as source:
        found = [row for rows in source.scan(LINES, batch=100) for row in rows]
        lost = source.lost["line"]

    assert len(found) > ROWS * 0.9
    assert len(found) + lost == ROWS
    assert [row[0] for row in found] == sorted({row[0] for row in found})
    assert all(row[2] == f"line {row[1]} " * 8 for row in found)


def test_reading_on_after_a_batch_gives_the_rest(copy: Path) -> None:
    overwrite(copy, 100 * 1024, b"\xee" * 1024)

    with Source(copy) as source:
        whole = [row for rows in source.scan(LINES, batch=333) for row in rows]
        rest = [row for rows in source.scan(LINES, after=whole[700][0]) for row in rows]

    assert rest == whole[701:]


def test_a_cut_off_file_gives_what_is_left_of_it(copy: Path) -> None:
    whole = copy.stat().st_size
    with copy.open("r+b") as file:
        file.truncate(int(whole * 0.95))
    before = fingerprint(copy.parent)

    found = numbers(copy)

    assert 0.85 * ROWS < len(found) < ROWS
    assert fingerprint(copy.parent) == before


@pytest.mark.parametrize("seed", range(60))
def test_random_damage_ends_in_rows_or_a_typed_error(copy: Path, seed: int) -> None:
    chance = random.Random(seed)
    size = copy.stat().st_size
    for _ in range(chance.choice((1, 5, 50))):
        span = chance.choice((1, 16, 1024))
        first_pages = chance.random() < 0.5
        overwrite(copy, chance.randrange(16, 5000 if first_pages else size), chance.randbytes(span))
    if chance.random() < 0.3:
        with copy.open("r+b") as file:
            file.truncate(chance.randrange(100, size))
    if chance.random() < 0.3:
        copy.with_name("copy.db-wal").write_bytes(chance.randbytes(5000))
    started = time.perf_counter()

    try:
        found = numbers(copy)
    except SourceError:
        found = []

    assert len(found) <= ROWS + 100
    assert time.perf_counter() - started < 5


def numbers(path: Path) -> list[object]:
    with Source(path) as source:
        return [row[1] for rows in source.scan(LINES) for row in rows]


def database(folder: Path, *statements: str) -> Path:
    path = folder / "made.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)
    return path


def make_log(path: Path, log: Path) -> None:
    """Leave one more row in a write-ahead log at `log`, and the database without it."""
    work = path.with_name("work.db")
    shutil.copy(path, work)
    with closing(sqlite3.connect(work, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute("INSERT INTO line (number, words) VALUES (?, 'new')", (ROWS + 1,))
        shutil.copy(work.with_name("work.db-wal"), log)
    work.unlink()


def overwrite(path: Path, at: int, noise: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(noise)


def fingerprint(folder: Path) -> dict[str, str]:
    read: Callable[[Path], str] = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()  # noqa: E731
    return {path.name: read(path) for path in sorted(folder.iterdir())}
