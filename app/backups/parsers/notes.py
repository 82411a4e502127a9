"""Notes (`NoteStore.sqlite`): every note with its text, tables, tags and attachments.

Reads `ZICCLOUDSYNCINGOBJECT` twice, once for what is around the notes (see `note_objects`), once
for the notes: ZIDENTIFIER, ZTITLE1, ZSNIPPET, ZFOLDER, ZNOTEDATA, ZISPASSWORDPROTECTED, ZISPINNED,
ZHASCHECKLIST, ZMARKEDFORDELETION, ZINVITATION, ZSERVERSHAREDATA, and all columns ZACCOUNT...,
ZCREATIONDATE... and ZMODIFICATIONDATE..., whose numbers differ by version: the account is the one
that is an account, the dates those that are set. Attachments: see `note_attachments`.
`ZICNOTEDATA`: ZNOTE, ZDATA.

Source: docs/formats.md, Notes.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from app.backups.parsers.apple_time import from_apple
from app.backups.parsers.artifact import BATCH, TEXT_AT_ONCE, Artifact, Batch
from app.backups.parsers.cells import blob_of, int_of, line_of, text_of
from app.backups.parsers.errors import UnsupportedSchema
from app.backups.parsers.lookup import Companions
from app.backups.parsers.note_attachments import NoteAttachments
from app.backups.parsers.note_body import Body, read_body
from app.backups.parsers.note_objects import OBJECTS, Objects
from app.backups.parsers.note_records import FIRST_LEGACY, Account, Folder, Note
from app.backups.parsers.protobuf import ProtobufError
from app.backups.parsers.source import Row, Source, Table

_COLUMNS = (
    "ZIDENTIFIER",
    "ZTITLE1",
    "ZSNIPPET",
    "ZFOLDER",
    "ZNOTEDATA",
    "ZISPASSWORDPROTECTED",
    "ZISPINNED",
    "ZHASCHECKLIST",
    "ZMARKEDFORDELETION",
    "ZINVITATION",
    "ZSERVERSHAREDATA",
)
_NUMBERED = {
    name: re.compile(rf"{name}\d*") for name in ("zaccount", "zcreationdate", "zmodificationdate")
}
_BODIES = Table("ZICNOTEDATA", ("ZNOTE", "ZDATA"))
_CIPHERTEXT = b"bplist"  # an archive with the encrypted body, since iOS 16
_AT_ONCE = 64  # bodies looked up together
_NO_BODY = Body(None, [])


class Notes(Artifact[Note]):
    """The notes of one store. See `Artifact`.

    `counts`: notes, locked, trashed, tombstones, pinned, shared, attachments, tables, tags,
    undecodable (bodies that are damaged, or of an unknown kind).
    """

    def __init__(self, source: Source, folder: Path | None = None) -> None:
        """Read everything but the notes themselves.

        Args:
            source: the opened store.
            folder: the backup in which to look whether files are there, or None.

        Raises:
            UnsupportedSchema: this is no store of a kind we know.
            Corrupt: the schema is unreadable, or reading takes far too long.
        """
        if not source.columns(OBJECTS) or not source.columns(_BODIES.name):
            raise UnsupportedSchema("there are no notes in it: this is not a NoteStore.")
        source.require(OBJECTS, ("Z_ENT",))
        columns = source.columns(OBJECTS)
        self._numbered = {
            name: sorted(filter(pattern.fullmatch, columns), reverse=True)
            for name, pattern in _NUMBERED.items()
        }
        numbered = [column for found in self._numbered.values() for column in found]
        self.table = Table(OBJECTS, (*_COLUMNS, *numbered))
        super().__init__(source)
        self._objects = Objects(source)
        self.total = len(self._objects.notes)
        self._bodies = Companions(source, _BODIES)
        self._attachments = NoteAttachments(source, folder, self._objects)

    @property
    def heads(self) -> dict[str, list[Any]]:
        """`accounts` and `folders`, in rowid order."""
        return {
            "accounts": list(self._objects.accounts.values()),
            "folders": list(self._objects.folders.values()),
        }

    def batches(self, *, after: int = 0, batch: int = BATCH) -> Iterator[Batch[Note]]:
        """All notes with a rowid above `after`; a batch ends early where its texts are long."""
        self._source.lost.pop(self.table.name, None)
        for rows in self._source.scan(self.table, after=after, batch=batch):
            wanted = [
                row for row in rows if row[0] in self._objects.notes and row[0] < FIRST_LEGACY
            ]
            notes: list[Note] = []
            size = 0
            for note in self._each(wanted):
                notes.append(note)
                size += len(note.text or "")
                if size > TEXT_AT_ONCE:
                    self._tally(notes)
                    yield Batch(notes, note.id)
                    notes, size = [], 0
            self._tally(notes)
            yield Batch(notes, rows[-1][0])

    def _each(self, rows: list[Row]) -> Iterator[Note]:
        for start in range(0, len(rows), _AT_ONCE):
            part = [
                (row[0], dict(zip(self.table.columns, row[1:], strict=True)))
                for row in rows[start : start + _AT_ONCE]
            ]
            attached = self._attachments.fetch(rowid for rowid, _ in part)
            bodies = self._bodies.fetch({rowid: named["ZNOTEDATA"] for rowid, named in part})
            for rowid, named in part:
                blob = blob_of(bodies[rowid][2]) if rowid in bodies else None
                yield self._note(rowid, named, blob, attached)

    def _records(self, rows: list[Row]) -> list[Note]:
        return list(self._each(rows))

    def _note(
        self, rowid: int, named: dict[str, Any], blob: bytes | None, attached: dict[int, Row]
    ) -> Note:
        folder = self._objects.folder_of(rowid, named["ZFOLDER"])
        account = self._account(named, folder)
        body, locked = self._body(named, blob)
        tables, attachments = self._attachments.of(rowid, account, attached, locked=locked)
        self.counts["tables"] += len(tables)
        text = "\n".join(one for one in (body.text, *tables) if one) or None
        return Note(
            rowid,
            line_of(named["ZIDENTIFIER"]) or f"note-{rowid}",
            line_of(named["ZTITLE1"]) or _first_line(text),
            text,
            text_of(named["ZSNIPPET"]),
            None if folder is None else folder.path,
            None if account is None else account.name,
            from_apple(self._first(named, "zcreationdate")),
            from_apple(self._first(named, "zmodificationdate")),
            named["ZISPINNED"] == 1,
            locked,
            folder is not None and folder.kind == "trash",
            named["ZMARKEDFORDELETION"] == 1,
            bool(int_of(named["ZINVITATION"]) or blob_of(named["ZSERVERSHAREDATA"])),
            named["ZHASCHECKLIST"] == 1,
            self._objects.tags_of(rowid),
            body.links,
            attachments,
            is_legacy=False,
        )

    def _body(self, named: dict[str, Any], blob: bytes | None) -> tuple[Body, bool]:
        """What is in a note, and whether it is locked."""
        if named["ZISPASSWORDPROTECTED"] == 1 or (blob or b"").startswith(_CIPHERTEXT):
            return _NO_BODY, True
        if blob is None:
            return _NO_BODY, False
        try:
            return read_body(blob), False
        except ProtobufError:
            self.counts["undecodable"] += 1
            return _NO_BODY, False

    def _account(self, named: dict[str, Any], folder: Folder | None) -> Account | None:
        for column in self._numbered["zaccount"]:
            key = named[column]
            if type(key) is int and key in self._objects.accounts:
                return self._objects.accounts[key]
        return None if folder is None else self._objects.owner(folder.id)

    def _first(self, named: dict[str, Any], name: str) -> object:
        return _first_set(named[column] for column in self._numbered[name])

    def _tally(self, records: list[Note]) -> None:
        tally(self.counts, records)


def tally(counts: Any, notes: list[Note]) -> None:
    """Count notes of any store."""
    counts["notes"] += len(notes)
    for one in notes:
        counts["locked"] += one.locked
        counts["trashed"] += one.trashed
        counts["tombstones"] += one.tombstone
        counts["pinned"] += one.pinned
        counts["shared"] += one.shared
        counts["attachments"] += len(one.attachments)
        counts["tags"] += len(one.tags)


def _first_set(values: Iterable[object]) -> object:
    return next((one for one in values if one), None)


def _first_line(text: str | None) -> str | None:
    lines = (line.strip("\ufffc \t") for line in (text or "").splitlines())
    return next((line for line in lines if line), None)
