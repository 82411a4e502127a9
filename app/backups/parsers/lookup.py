"""Rows looked up by rowid, a batch at a time, so that memory stays flat."""

import sqlite3
from collections.abc import Iterable

from app.backups.parsers.source import Row, Source, Table

_AT_ONCE = 500  # rowids per query: one statement, always of the same length, stays prepared


class Lookup:
    """Finds rows of a table that other rows name by number. A missing table has none."""

    def __init__(self, source: Source, table: Table) -> None:
        self._source = source
        self._table = table
        self._known = bool(source.columns(table.name))
        marks = ",".join("?" * _AT_ONCE)
        self._sql = f"{source.select(table)} WHERE ROWID IN ({marks})"

    def fetch(self, rowids: Iterable[object]) -> dict[int, Row]:
        """The rows with these numbers, each with its rowid first; what damage hides is missing.

        Rows that damage hides are counted in `Source.lost`.
        """
        wanted = sorted({one for one in rowids if type(one) is int}) if self._known else []
        found: dict[int, Row] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            try:
                found.update(self._query(part))
            except sqlite3.DatabaseError:
                for rowid in part:
                    self._salvage(rowid, found)
        return found

    def _salvage(self, rowid: int, found: dict[int, Row]) -> None:
        try:
            found.update(self._query([rowid]))
        except sqlite3.DatabaseError:
            name, lost = self._table.name, self._source.lost
            lost[name] = lost.get(name, 0) + 1

    def _query(self, rowids: list[int]) -> dict[int, Row]:
        values = rowids + [None] * (_AT_ONCE - len(rowids))
        return {row[0]: row for rows in self._source.query(self._sql, values) for row in rows}


class Companions:
    """Rows of another table that belong to ours one by one, named by either side."""

    def __init__(self, source: Source, table: Table) -> None:
        """The first column of `table` is the number of our row; the column itself may be missing."""
        self._source = source
        self._table = table
        self._lookup = Lookup(source, table)
        self._reverse: dict[int, int] | None = None

    def fetch(self, named: dict[int, object]) -> dict[int, Row]:
        """The companions by the numbers of our rows, each with its own rowid first.

        Args:
            named: for each of our rows the number of its companion, as far as it knows.
        """
        rows = self._lookup.fetch(named.values())
        found: dict[int, Row] = {}
        lonely: dict[int, int] = {}
        for ours, theirs in named.items():
            row = rows.get(theirs) if type(theirs) is int else None
            if row is not None and row[1] in (ours, None):
                found[ours] = row
            elif (back := self._backwards().get(ours)) is not None:
                lonely[ours] = back
        rows = self._lookup.fetch(lonely.values()) if lonely else {}
        return found | {ours: rows[back] for ours, back in lonely.items() if back in rows}

    def _backwards(self) -> dict[int, int]:
        """Read when it is needed for the first time: the own side of most rows is right."""
        if self._reverse is None:
            owner = Table(self._table.name, self._table.columns[:1])
            self._reverse = {
                row[1]: row[0]
                for rows in self._source.scan(owner)
                for row in rows
                if type(row[1]) is int
            }
        return self._reverse
