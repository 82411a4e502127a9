"""The body of a note: compressed protocol buffers with the text, its attributes and its tables.

Source: docs/formats.md, Notes; the meaning of the fields of tables from the public protocol
description of apple_cloud_notes_parser, checked on the stores of three systems.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from app.backups.parsers.protobuf import Fields, ProtobufError, decode

MAX_BODY_BYTES = 16 * 2**20  # unpacked; the longest real one has some hundred kilobytes
_EITHER_HEADER = 47  # gzip or zlib, told by the first bytes
_DOCUMENT, _NOTE, _TEXT, _RUN, _LINK = 2, 3, 2, 5, 9
_OBJECT = 3  # of a table's document: then 3 the entries, 4 names of keys, 5 of types, 6 ids
_ENTRY, _KEY_NAME, _TYPE_NAME, _ID = 3, 4, 5, 6
_DICTIONARY, _WORDS, _MAP, _ORDERED_SET = 6, 10, 13, 16  # kinds of entries
_TABLE_TYPE = b"com.apple.notes.ICTable"
_MAX_CELLS = 100_000
_MAX_PAIRS = 4 * _MAX_CELLS  # objects may name each other in ways that never end


class Body(NamedTuple):
    """What is in a note."""

    text: str | None
    links: list[str]


def unpack(blob: bytes) -> bytes:
    """The unpacked bytes.

    Raises:
        ProtobufError: they are not compressed, damaged, or far too many.
    """
    unpacker = zlib.decompressobj(_EITHER_HEADER)
    try:
        data = unpacker.decompress(blob, MAX_BODY_BYTES)
    except zlib.error as error:
        raise ProtobufError(f"not compressed: {error}") from error
    if unpacker.unconsumed_tail:
        raise ProtobufError("far too long")
    return data


def read_body(blob: bytes) -> Body:
    """The text and the links of a note.

    Raises:
        ProtobufError: damaged or hostile bytes, or those of a locked note.
    """
    note = decode(unpack(blob)).message(_DOCUMENT).message(_NOTE)
    links = (run.text(_LINK) for run in note.messages(_RUN))
    return Body(note.text(_TEXT), list(dict.fromkeys(link for link in links if link)))


def read_table(blob: bytes) -> list[list[str]]:
    """The cells of a table, row by row, as they are seen.

    Where the order of rows and columns is not understood, every cell is a row of its own.

    Raises:
        ProtobufError: damaged or hostile bytes.
    """
    document = decode(unpack(blob)).message(_DOCUMENT).message(_OBJECT)
    entries = document.messages(_ENTRY)
    try:
        rows = _Table(document, entries).rows()
    except (LookupError, TypeError, ValueError):
        rows = []
    if rows:
        return rows
    cells = (entry.message(_WORDS).text(_TEXT) for entry in entries)
    return [[cell] for cell in cells if cell]


class _Table:
    """A table as it is kept: maps between objects that name each other by number.

    Any step raises LookupError, TypeError or ValueError where the document is of another shape.
    """

    def __init__(self, document: Fields, entries: list[Fields]) -> None:
        self._entries = entries
        self._keys = document[_KEY_NAME]
        self._ids = {value: place for place, value in enumerate(document[_ID])}
        self._type = document[_TYPE_NAME].index(_TABLE_TYPE)
        self._known: dict[int, int] = {}
        self._left = _MAX_PAIRS

    def rows(self) -> list[list[str]]:
        """The cells in their places; a missing one is empty."""
        parts = self._parts()
        rows, columns = self._order(parts[b"crRows"]), self._order(parts[b"crColumns"])
        height, width = max(rows.values()) + 1, max(columns.values()) + 1
        if height * width > _MAX_CELLS:
            raise LookupError("too many cells")
        grid = [[""] * width for _ in range(height)]
        for column, content in self._pairs(self._entries[parts[b"cellColumns"]]):
            for row, cell in self._pairs(self._entries[content]):
                place = rows.get(self._id(row)), columns.get(self._id(column))
                if place[0] is not None and place[1] is not None:
                    grid[place[0]][place[1]] = self._entries[cell].message(_WORDS).text(_TEXT) or ""
        return grid

    def _parts(self) -> dict[bytes, int]:
        """The objects of the table by name."""
        for entry in self._entries:
            if entry.message(_MAP).number(1) == self._type:
                pairs = entry.message(_MAP).messages(3)
                return {
                    self._name(pair.number(1)): target
                    for pair in pairs
                    if (target := pair.message(2).number(6)) is not None
                }
        raise LookupError("no table")

    def _name(self, number: int | None) -> bytes:
        name = self._keys[number or 0]
        if type(name) is not bytes:
            raise TypeError("a name that is a number")
        return name

    def _order(self, number: int) -> dict[int, int]:
        """The place of each row or column, by the number of its id."""
        ordering = self._entries[number].message(_ORDERED_SET).message(1)
        ids = (one.blob(2) for one in ordering.message(1).messages(2))
        places = {self._ids[one]: place for place, one in enumerate(ids) if one is not None}
        found = dict(places)
        for key, value in self._dictionary(ordering.message(2)):
            if self._id(key) in places:
                found[self._id(value)] = places[self._id(key)]
        return found

    def _id(self, number: int) -> int:
        """The number of the id that an object stands for."""
        if number not in self._known:
            found = self._entries[number].message(_MAP).messages(3)[0].message(2).number(2)
            if found is None:
                raise LookupError("an object without id")
            self._known[number] = found
        return self._known[number]

    def _pairs(self, entry: Fields) -> Iterator[tuple[int, int]]:
        return self._dictionary(entry.message(_DICTIONARY))

    def _dictionary(self, fields: Fields) -> Iterator[tuple[int, int]]:
        elements = fields.messages(1)
        self._left -= len(elements)
        if self._left < 0:
            raise LookupError("too many pairs")
        for element in elements:
            key, value = element.message(1).number(6), element.message(2).number(6)
            if key is not None and value is not None:
                yield key, value
