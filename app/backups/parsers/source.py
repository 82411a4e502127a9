"""Opening one SQLite database that a stranger may have written.

The source is never written to, only SELECT can run, nothing but plain tables is read, every fetch
has a deadline, and damaged pages cost no more than the rows on them. `opening` has the rules by
which the file is opened.

Source: docs/formats.md, Opening a database.
"""

import errno
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from app.backups.parsers.errors import Corrupt, ListedButMissing, UnsupportedSchema
from app.backups.parsers.opening import connect, prepare

FETCH_SECONDS = 30.0  # one fetch of a batch takes milliseconds; longer is a bomb, not a backup
MAX_PROBES = 200_000  # failing reads while salvaging one table: about two seconds
_MAX_ROWID = 2**63 - 1
_MOST_LOST = 2**28  # rowids that damage is said to have hidden; a forged one may stand for more
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP)

Row = tuple[Any, ...]


class Table(NamedTuple):
    """A table to read: its name and the columns wanted, any of which may be missing."""

    name: str
    columns: tuple[str, ...]


class Source:
    """An untrusted database, open for reading. Use as a context manager.

    Text comes as str with broken UTF-8 replaced by U+FFFD and without NUL characters.

    Attributes:
        lost: for each table name, how many rowids could not be read because of damage: an upper
            bound, since a rowid that never existed but would lie on a damaged page counts too.
    """

    def __init__(
        self, path: Path, wal: Path | None = None, *, fetch_seconds: float = FETCH_SECONDS
    ) -> None:
        """Open `path`, with the write-ahead log at `wal` or, if None, at `<path>-wal`.

        Raises:
            ListedButMissing: there is no such file, or it cannot be read.
            Encrypted: the bytes look like ciphertext.
            Corrupt: the file is not a usable SQLite database.
            OSError: this machine is in trouble (no space for a private copy, too many files).
        """
        self.lost: dict[str, int] = {}
        self._fetch_seconds = fetch_seconds
        self._columns: dict[str, frozenset[str]] = {}
        self._scratch = tempfile.TemporaryDirectory(
            prefix="headway-source-", ignore_cleanup_errors=True
        )
        try:
            with ExitStack() as pins:
                file, parameters = prepare(path, wal, Path(self._scratch.name), pins)
                self._size_bytes = file.stat().st_size
                self._deadline = time.monotonic() + fetch_seconds
                self._db = connect(file, parameters, self._too_late)
        except sqlite3.DatabaseError as error:
            raise Corrupt(f"{path.name} cannot be opened as a database: {error}.") from error
        except OSError as error:
            if error.errno not in _GONE:
                raise
            raise ListedButMissing(f"{path.name} cannot be read: {error.strerror}.") from error
        finally:
            # SQLite holds the private copy open; without a name it goes even if we are killed.
            self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; a private copy is gone with it."""
        self._db.close()

    def columns(self, table: str) -> frozenset[str]:
        """Lower-case names of the stored columns of a table; empty where there is no such table.

        Generated columns are left out: reading them would run the stranger's expressions.

        Raises:
            UnsupportedSchema: the name belongs to a view or a virtual table.
            Corrupt: the schema cannot be read.
        """
        if table not in self._columns:
            try:
                self._columns[table] = self._probe(table)
            except sqlite3.DatabaseError as error:
                raise Corrupt(f"the schema cannot be read: {error}.") from error
        return self._columns[table]

    def tables(self, pattern: re.Pattern[str]) -> list[str]:
        """Names of the tables that match a pattern as a whole, sorted.

        Raises:
            Corrupt: the schema cannot be read.
        """
        sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
        try:
            names = [row[0] for rows in self.query(sql) for row in rows]
        except sqlite3.DatabaseError as error:
            raise Corrupt(f"the schema cannot be read: {error}.") from error
        return sorted(name for name in names if isinstance(name, str) and pattern.fullmatch(name))

    def require(self, table: str, columns: Iterable[str]) -> None:
        """Insist on a table and its columns.

        Raises:
            UnsupportedSchema: one is missing.
        """
        missing = sorted({name.lower() for name in columns} - self.columns(table))
        if missing:
            what = ", ".join(missing) if self.columns(table) else "everything"
            raise UnsupportedSchema(f"table {table} lacks {what}: an unknown kind of database.")

    def select(self, table: Table) -> str:
        """SELECT of the rowid and the wanted columns, with NULL where the table has none."""
        have = self.columns(table.name)
        wanted = (f'"{one}"' if one.lower() in have else "NULL" for one in table.columns)
        return f'SELECT {", ".join(("ROWID", *wanted))} FROM "{table.name}"'  # noqa: S608  # our own names

    def query(self, sql: str, values: Sequence[Any] = (), batch: int = 5000) -> Iterator[list[Row]]:
        """Run one SELECT and give its rows in batches.

        Raises:
            sqlite3.DatabaseError: damage was met; earlier batches are good.
            Corrupt: a fetch took longer than the deadline.
        """
        try:
            self._deadline = time.monotonic() + self._fetch_seconds
            cursor = self._db.execute(sql, values)
            while rows := cursor.fetchmany(batch):
                yield rows
                self._deadline = time.monotonic() + self._fetch_seconds
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                took = f"a query ran for more than {self._fetch_seconds:g} s"
                raise Corrupt(f"{took}: the database is damaged or hostile.") from error
            raise
        except UnicodeDecodeError as error:  # SQLite's message, or a name, quotes damaged bytes
            raise sqlite3.DatabaseError("damaged names") from error

    def scan(self, table: Table, *, after: int = 0, batch: int = 5000) -> Iterator[list[Row]]:
        """Every readable row with a rowid above `after`, rowids strictly rising, in batches.

        Where a page is damaged the rowid range is halved until the good rows on both sides are
        out; what stays unreadable is counted in `lost`. A table that does not exist has no rows.

        Raises:
            UnsupportedSchema: the statement makes no sense for this table (it has no rowid).
            Corrupt: a fetch took longer than the deadline.
        """
        if not self.columns(table.name):
            return
        sql = self.select(table) + " WHERE ROWID > ? AND ROWID <= ? ORDER BY ROWID"
        try:
            for rows in self.query(sql, (after, _MAX_ROWID), batch):
                rising = _rising(rows, after)
                after = rising[-1][0]
                yield rising
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
                raise UnsupportedSchema(f"table {table.name} cannot be read: {error}.") from error
            yield from self._salvage(table.name, sql, after, batch)

    @property
    def most_rows(self) -> int:
        """More rows than can be in the whole database: none takes fewer than 16 bytes."""
        return self._size_bytes // 16

    def last_rowid(self, table: str) -> int:
        """The largest rowid, 0 for an empty table; on damage an estimate that is never too low."""
        for sql in (
            f'SELECT max(ROWID) FROM "{table}"',  # noqa: S608  # our own name
            f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'",  # noqa: S608
        ):
            try:
                for rows in self.query(sql):
                    return rows[0][0] if type(rows[0][0]) is int else 0
            except sqlite3.DatabaseError:
                continue
        return self.most_rows

    def count(self, table: str) -> int | None:
        """Rows of a table, or None where damage hides the number."""
        if not self.columns(table):
            return 0
        try:
            rows = next(self.query(f'SELECT count(*) FROM "{table}"'))  # noqa: S608  # our own name
            return int(rows[0][0])
        except sqlite3.DatabaseError:
            return None

    def _salvage(self, table: str, sql: str, after: int, batch: int) -> Iterator[list[Row]]:
        ranges, probes = [(after, max(after, self.last_rowid(table)))], 0
        while ranges:
            low, high = ranges.pop()
            rows, whole = self._until_damage(sql, low, high, batch)
            if rows:
                yield rows
                low = rows[-1][0]
            if whole and len(rows) == batch:
                ranges.append((low, high))
            if whole or low >= high:
                continue
            probes += 1
            if probes > MAX_PROBES:
                self._lose(table, high - low + sum(top - bottom for bottom, top in ranges))
                return
            if high - low == 1:
                self._lose(table, 1)
            else:
                middle = (low + high) // 2
                ranges += [(middle, high), (low, middle)]

    def _until_damage(self, sql: str, low: int, high: int, batch: int) -> tuple[list[Row], bool]:
        """At most `batch` rows of (low, high], and whether they were read without error."""
        rows: list[Row] = []
        try:
            for one in self.query(f"{sql} LIMIT {batch:d}", (low, high), 1):
                rows += _rising(one, rows[-1][0] if rows else low)
        except sqlite3.DatabaseError:
            return rows, False
        return rows, True

    def _lose(self, table: str, rowids: int) -> None:
        self.lost[table] = min(_MOST_LOST, self.lost.get(table, 0) + rowids)

    def _probe(self, table: str) -> frozenset[str]:
        sql = "SELECT type, rootpage FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type <> 'trigger'"
        found = [row for rows in self.query(sql, (table,)) for row in rows]
        if not found:
            return frozenset()
        if any(kind != "table" or not rootpage for kind, rootpage in found):
            raise UnsupportedSchema(f"{table} is not a plain table.")
        names = (row for rows in self.query(f'PRAGMA table_info("{table}")') for row in rows)
        return frozenset(str(row[1]).lower() for row in names)

    def _too_late(self) -> bool:
        return time.monotonic() > self._deadline


def _rising(rows: list[Row], after: int) -> list[Row]:
    """Rows with integer rowids above `after`, strictly rising; damaged trees give others too.

    Raises:
        sqlite3.DatabaseError: no row is left, so reading on would not make progress.
    """
    rowids = [row[0] for row in rows]
    if type(rowids[0]) is int and rowids[0] > after and _is_sorted(rowids):
        return rows
    kept = []
    for row in rows:
        if type(row[0]) is int and row[0] > after:
            after = row[0]
            kept.append(row)
    if not kept:
        raise sqlite3.DatabaseError("rowids do not rise")
    return kept


def _is_sorted(rowids: list[Any]) -> bool:
    return set(map(type, rowids)) == {int} and sorted(set(rowids)) == rowids
