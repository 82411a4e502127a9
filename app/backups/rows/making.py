"""Making rows: what all row makers share.

A row is a tuple in the order of its table's columns, in the form its database's driver takes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, get_type_hints
from uuid import UUID

import msgspec

from app.backups.items.base import Table
from app.backups.people import Directory
from app.backups.rows.frames import Frames

Row = tuple[Any, ...]
Rows = list[Row]
Written = list[tuple[Table, Rows]]
Convert = Callable[[Any], Any]

_encode = msgspec.json.Encoder().encode


class Maker(ABC):
    """Makes the rows of one generation of one backup.

    Attributes:
        frames: what the child sends of this domain.
    """

    frames: ClassVar[Frames]

    def __init__(
        self, backup_id: UUID, generation: int, directory: Directory, *, sqlite: bool
    ) -> None:
        self.stamp: Row = (str(backup_id) if sqlite else backup_id, generation)
        self.time: Convert = as_text if sqlite else as_it_is
        self.directory = directory

    def head(self, _about: Any) -> Written:
        """Rows of what comes before the records; most domains have none."""
        return []

    @abstractmethod
    def items(self, records: Any) -> Written:
        """Rows of the records of a frame."""


class Columns:
    """Turns records into rows, field by field: times and lists as the database wants them."""

    def __init__(self, record: Any, time: Convert, **special: Convert) -> None:
        """`record` is a named tuple; `special` converts single fields by name."""
        hints = get_type_hints(record)
        known = [special.get(name) or _converter(hints[name], time) for name in record._fields]
        self._converts = [(place, convert) for place, convert in enumerate(known) if convert]

    def row(self, record: Row) -> list[Any]:
        """The columns of one record, in the order of its fields."""
        row = list(record)
        for place, convert in self._converts:
            row[place] = convert(row[place])
        return row


class RecordMaker(Maker):
    """Makes one row of one table of each record, field by field, and `words` after them."""

    model: ClassVar[Table]
    record: ClassVar[Any]  # the parser's named tuple, whose fields are the table's columns
    special: ClassVar[Mapping[str, Convert]] = {}

    def items(self, records: Sequence[Any]) -> Written:
        """The records' rows."""
        columns = Columns(self.record, self.time, **self.special)
        rows = [(*self.stamp, *columns.row(one), self.words(one)) for one in records]
        return [(self.model, rows)]

    @staticmethod
    @abstractmethod
    def words(record: Any) -> str | None:
        """What search finds a record by, besides its title."""


def _converter(hint: Any, time: Convert) -> Convert | None:
    if hint == datetime | None:
        return time
    plain = (str, int, float, bool)
    if hint in plain or any(hint == kind | None for kind in plain):
        return None
    return as_json


def as_json(value: Any) -> str | None:
    """A list as JSON text; None stays None."""
    return None if value is None else _encode(value).decode()


def as_text(moment: datetime | None) -> str | None:
    """What `wire` makes of a time that is in UTC already, six times as fast; for JSON too."""
    return None if moment is None else moment.isoformat(timespec="microseconds")[:26] + "Z"


def as_it_is(moment: datetime | None) -> datetime | None:
    """A time, where the driver takes times."""
    return moment


def spoken(*texts: str | Iterable[str | None] | None) -> str | None:
    """Words to be found by: all that is there, each thing once, None for nothing."""
    found: dict[str, None] = {}
    for text in texts:
        for one in (text,) if isinstance(text, str) or text is None else text:
            if one:
                found[one] = None
    return "\n".join(found) or None
