"""What the parsers of one table have in common: heads first, then records by rising rowid."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from app.backups.parsers.source import Row, Source, Table

BATCH = 5000  # rows read at once
TEXT_AT_ONCE = 4 * 2**20  # characters of a batch: more may not fit into a frame

R = TypeVar("R")


class Batch(NamedTuple, Generic[R]):
    """Records in rowid order."""

    records: list[R]
    last_rowid: int  # of the last row read, which may have given no record


def in_parts(
    ids: Sequence[int], texts: Sequence[str | None], last_rowid: int
) -> Iterator[tuple[slice, int]]:
    """How messages fit into frames: all into one, or several where their texts are long.

    Yields:
        Their places, and the rowid up to which these messages go.
    """
    start = size = 0
    lengths = [len(text or "") for text in texts]
    if sum(lengths) > TEXT_AT_ONCE:
        for place, length in enumerate(lengths):
            size += length
            if size > TEXT_AT_ONCE:
                yield slice(start, place + 1), ids[place]
                start, size = place + 1, 0
    yield slice(start, len(lengths)), last_rowid


class Artifact(ABC, Generic[R]):
    """The records of one database.

    Attributes:
        table: the table that has a row for every record.
        total: how many records there are; exact unless the database is damaged.
        counts: what `batches` has met so far, by name.
    """

    table: Table

    def __init__(self, source: Source) -> None:
        self._source = source
        self.total = count_rows(source, self.table.name)
        self.counts: Counter[str] = Counter()

    @property
    @abstractmethod
    def heads(self) -> dict[str, list[Any]]:
        """What is known before the first record, by name: lists of named tuples."""

    @property
    def lost(self) -> int:
        """Rowids of the table that damage has hidden so far."""
        return self._source.lost.get(self.table.name, 0)

    @property
    def hurt(self) -> list[str]:
        """Further tables of which damage has hidden rows."""
        return sorted(set(self._source.lost) - {self.table.name})

    def batches(self, *, after: int = 0, batch: int = BATCH) -> Iterator[Batch[R]]:
        """All records with a rowid above `after`, in rowid order.

        Going on after the `last_rowid` of a batch gives exactly the records not yet given.
        """
        self._source.lost.pop(self.table.name, None)  # earlier passes have met the same damage
        for rows in self._source.scan(self.table, after=after, batch=batch):
            records = self._records(rows)
            self._tally(records)
            yield Batch(records, rows[-1][0])

    @abstractmethod
    def _records(self, rows: list[Row]) -> list[R]:
        """The records of these rows of the table."""

    @abstractmethod
    def _tally(self, records: list[R]) -> None:
        """Count them in `counts`."""


class Chain(Generic[R]):
    """Several artifacts as one; the ids of each are above those of the one before."""

    def __init__(self, *parts: Artifact[R]) -> None:
        self._parts = parts
        self.total = sum(part.total for part in parts)

    @property
    def heads(self) -> dict[str, list[Any]]:
        """The heads of all, joined."""
        names = dict.fromkeys(name for part in self._parts for name in part.heads)
        return {
            name: [one for part in self._parts for one in part.heads.get(name, [])]
            for name in names
        }

    @property
    def counts(self) -> Counter[str]:
        """The counts of all, added up."""
        return sum((part.counts for part in self._parts), Counter())

    @property
    def lost(self) -> int:
        """Rowids that damage has hidden so far."""
        return sum(part.lost for part in self._parts)

    @property
    def hurt(self) -> list[str]:
        """Further tables of which damage has hidden rows."""
        return sorted({table for part in self._parts for table in part.hurt})

    def batches(self, *, after: int = 0, batch: int = BATCH) -> Iterator[Batch[R]]:
        """The batches of all, one after the other; see `Artifact.batches`."""
        for part in self._parts:
            yield from part.batches(after=after, batch=batch)


def count_rows(source: Source, table: str) -> int:
    """Rows of a table; where damage hides the number, those that can be read."""
    count = source.count(table)
    if count is None:
        count = sum(len(rows) for rows in source.scan(Table(table, ())))
    return count


def all_rows(source: Source, table: Table, *, after: int = 0) -> Iterator[Row]:
    """Every readable row of a table, one by one; see `Source.scan`."""
    for rows in source.scan(table, after=after):
        yield from rows
