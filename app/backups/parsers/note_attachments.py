"""Attachments of notes: files, drawings, scans with their words, and tables.

Reads `ZICCLOUDSYNCINGOBJECT`: ZIDENTIFIER, ZTYPEUTI, ZTITLE, ZUSERTITLE, ZFILESIZE, ZMEDIA,
ZOCRSUMMARY, ZHANDWRITINGSUMMARY, ZADDITIONALINDEXABLETEXT, ZURLSTRING, ZMERGEABLEDATA1,
ZMERGEABLEDATA.

Source: docs/formats.md, Notes.
"""

from collections.abc import Iterable
from pathlib import Path

from app.backups.parsers.backup_files import Files
from app.backups.parsers.cells import blob_of, line_of, size_of, text_of
from app.backups.parsers.lookup import Lookup
from app.backups.parsers.note_body import read_table
from app.backups.parsers.note_objects import OBJECTS, Objects
from app.backups.parsers.note_records import Account, Attachment
from app.backups.parsers.protobuf import ProtobufError
from app.backups.parsers.source import Row, Source, Table

_WORDS = ("ZOCRSUMMARY", "ZHANDWRITINGSUMMARY", "ZADDITIONALINDEXABLETEXT", "ZURLSTRING")
_ROWS = Table(
    OBJECTS,
    ("ZIDENTIFIER", "ZTYPEUTI", "ZTITLE", "ZUSERTITLE", "ZFILESIZE", "ZMEDIA", *_WORDS),
)
_TABLES = Table(OBJECTS, ("ZMERGEABLEDATA1", "ZMERGEABLEDATA"))
_TABLE = "com.apple.notes.table"
_DOMAIN = "AppDomainGroup-group.com.apple.notes"


class NoteAttachments:
    """Looks attachments up, a batch of notes at a time."""

    def __init__(self, source: Source, folder: Path | None, objects: Objects) -> None:
        """`folder` is the backup in which to look whether the files are there, or None."""
        self._objects = objects
        self._lookup = Lookup(source, _ROWS)
        self._tables = Lookup(source, _TABLES)
        self._files = Files(_DOMAIN, folder)

    def fetch(self, notes: Iterable[int]) -> dict[int, Row]:
        """The rows of the attachments of these notes."""
        return self._lookup.fetch(
            one for note in notes for one in self._objects.attachments_of(note)
        )

    def of(
        self, note: int, account: Account | None, rows: dict[int, Row], *, locked: bool
    ) -> tuple[list[str], list[Attachment]]:
        """The tables of a note, a line for each row and cells apart by tabs; and what else is in it.

        Args:
            note: its rowid.
            account: whose folder has its files.
            rows: what `fetch` has found.
            locked: what is in it cannot be read.
        """
        tables: list[str] = []
        attachments: list[Attachment] = []
        for rowid in self._objects.attachments_of(note):
            row = rows.get(rowid)
            if row is None:
                continue
            if row[2] == _TABLE:
                tables += [] if locked else self._table(rowid)
            else:
                attachments.append(self._attachment(row, account))
        return tables, attachments

    def _table(self, rowid: int) -> list[str]:
        row = self._tables.fetch([rowid]).get(rowid, ())
        blob = next(filter(None, map(blob_of, row[1:])), None)
        if blob is None:
            return []
        try:
            cells = read_table(blob)
        except ProtobufError:
            return []
        return ["\n".join("\t".join(line) for line in cells)]

    def _attachment(self, row: Row, account: Account | None) -> Attachment:
        _, identifier, uti, title, named, size, media, *words = row
        file = self._objects.media.get(media) if type(media) is int else None
        path = None
        if file is not None and file.identifier and account is not None and account.identifier:
            parts = (account.identifier, "Media", file.identifier, file.generation, file.filename)
            path = "/".join(("Accounts", *filter(None, parts)))
        file_id, present = self._files.find(path)
        found = list(dict.fromkeys(filter(None, map(text_of, words))))
        return Attachment(
            line_of(identifier),
            None if file is None else file.filename,
            line_of(uti),
            size_of(size),
            file_id,
            present,
            line_of(named) or line_of(title),
            "\n".join(found) or None,
        )
