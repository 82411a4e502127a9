"""What is around the notes: accounts, folders, and which attachments and tags belong to which note.

One wide table holds everything. What a row is stands in Z_ENT, whose numbers differ by version
and are named in `Z_PRIMARYKEY`: Z_ENT, Z_NAME. Where that is gone, the columns of a row tell. Until
iOS 10 folders and notes are joined by `Z_<n>NOTES`: Z_<n>FOLDERS, Z_<m>NOTES.

Reads `ZICCLOUDSYNCINGOBJECT`: Z_ENT, ZIDENTIFIER, ZTITLE2, ZNAME, ZPARENT, ZOWNER, ZFOLDERTYPE,
ZNOTEDATA, ZNOTE, ZNOTE1, ZPARENTATTACHMENT, ZPARENTATTACHMENT1, ZTYPEUTI, ZTYPEUTI1, ZALTTEXT,
ZFILENAME, ZGENERATION, ZGENERATION1.

Source: docs/formats.md, Notes.
"""

from typing import Any, NamedTuple

from app.backups.parsers.artifact import all_rows
from app.backups.parsers.cells import int_of, line_of
from app.backups.parsers.core_data import Join, class_names, find_join, pairs
from app.backups.parsers.note_records import Account, Folder
from app.backups.parsers.source import Source, Table

OBJECTS = "ZICCLOUDSYNCINGOBJECT"
NOTE = "ICNote"
_KINDS: dict[int | None, str] = {0: "normal", 3: "smart"}
_TRASH = "TrashFolder-"
_MAX_DEPTH = 20  # folders within folders, attachments within attachments
_HASHTAG = "com.apple.notes.inlinetextattachment.hashtag"


class _Object(NamedTuple):
    """A row of the wide table; the columns of other classes are empty."""

    rowid: int
    z_ent: Any
    zidentifier: Any
    ztitle2: Any
    zname: Any
    zparent: Any
    zowner: Any
    zfoldertype: Any
    znotedata: Any
    znote: Any
    znote1: Any
    zparentattachment: Any
    zparentattachment1: Any
    ztypeuti: Any
    ztypeuti1: Any
    zalttext: Any
    zfilename: Any
    zgeneration: Any
    zgeneration1: Any


_TABLE = Table(OBJECTS, _Object._fields[1:])
# What tells the class of a row where its number does not; the first that is there counts.
_SIGNS = (
    ("znotedata", NOTE),
    ("ztypeuti1", "ICInlineAttachment"),
    ("ztypeuti", "ICAttachment"),
    ("ztitle2", "ICFolder"),
    ("zfilename", "ICMedia"),
    ("zname", "ICAccount"),
)


class MediaFile(NamedTuple):
    """The file of an attachment."""

    identifier: str | None
    filename: str
    generation: str | None


class Objects:
    """Everything in the wide table but the notes themselves, in some hundred bytes each.

    Attributes:
        notes: the rowids of the notes.
        accounts: by rowid.
        folders: by rowid.
        media: by rowid.
    """

    def __init__(self, source: Source) -> None:
        self._classes = class_names(source)
        self.notes: set[int] = set()
        self.accounts: dict[int, Account] = {}
        self.media: dict[int, MediaFile] = {}
        self._folders: dict[int, _Object] = {}
        self._attachments: dict[int, _Object] = {}
        self._tags: dict[int, list[str]] = {}
        for row in all_rows(source, _TABLE):
            self._add(_Object._make(row))
        self.folders = {rowid: self._folder(row) for rowid, row in self._folders.items()}
        self._of_note: dict[int, list[int]] = {}
        for rowid, row in self._attachments.items():
            note = self._note_of(row)
            if note is not None:
                self._of_note.setdefault(note, []).append(rowid)
        self._attachments.clear()
        self._joined = {note: folder for folder, note in pairs(source, _folder_join(source))}

    def folder_of(self, note: int, folder: object) -> Folder | None:
        """The folder of a note: the one it names, or the one that is joined to it."""
        named = self.folders.get(folder) if type(folder) is int else None
        return named or self.folders.get(self._joined.get(note, 0))

    def attachments_of(self, note: int) -> list[int]:
        """The rowids of the attachments of a note."""
        return self._of_note.get(note, [])

    def tags_of(self, note: int) -> list[str]:
        """The hashtags in a note, each once."""
        return self._tags.get(note, [])

    def owner(self, folder: int) -> Account | None:
        """The account of a folder."""
        row = self._folders.get(folder)
        return None if row is None else self.accounts.get(int_of(row.zowner) or 0)

    def _add(self, row: _Object) -> None:
        kind = self._classes.get(row.z_ent) if self._classes else _class_of(row)
        if kind == NOTE:
            self.notes.add(row.rowid)
        elif kind == "ICAccount":
            account = Account(row.rowid, line_of(row.zidentifier), line_of(row.zname))
            self.accounts[row.rowid] = account
        elif kind == "ICFolder":
            self._folders[row.rowid] = row
        elif kind == "ICAttachment":
            self._attachments[row.rowid] = row
        elif kind == "ICMedia":
            self._add_media(row)
        elif kind == "ICInlineAttachment":
            self._add_tag(row)

    def _add_media(self, row: _Object) -> None:
        name = line_of(row.zfilename)
        if name is not None:
            generation = line_of(row.zgeneration1) or line_of(row.zgeneration)
            self.media[row.rowid] = MediaFile(line_of(row.zidentifier), name, generation)

    def _add_tag(self, row: _Object) -> None:
        tag, note = line_of(row.zalttext), int_of(row.znote1) or int_of(row.znote)
        if tag and note and (tag.startswith("#") or row.ztypeuti1 == _HASHTAG):
            tags = self._tags.setdefault(note, [])
            if tag not in tags:
                tags.append(tag)

    def _note_of(self, row: _Object) -> int | None:
        """The note of an attachment, which may be part of another one (a scanned page)."""
        for _ in range(_MAX_DEPTH):
            note = int_of(row.znote) or int_of(row.znote1)
            if note:
                return note
            parent = int_of(row.zparentattachment) or int_of(row.zparentattachment1)
            if not parent or parent not in self._attachments:
                return None
            row = self._attachments[parent]
        return None

    def _folder(self, row: _Object) -> Folder:
        around = self._around(row)
        account = self.owner(row.rowid)
        titles = [line_of(one.ztitle2) for one in reversed(around)]
        return Folder(
            row.rowid,
            line_of(row.zidentifier),
            titles[-1],
            "/".join(title or "?" for title in titles) if any(titles) else None,
            None if account is None else account.name,
            "trash"
            if any(map(_is_trash, around))
            else _KINDS.get(int_of(row.zfoldertype), "normal"),
        )

    def _around(self, row: _Object) -> list[_Object]:
        """A folder and those it is in, the outermost last."""
        found = [row]
        while len(found) < _MAX_DEPTH:
            parent = int_of(found[-1].zparent)
            if not parent or parent not in self._folders:
                break
            found.append(self._folders[parent])
        return found


def _is_trash(row: _Object) -> bool:
    identifier = line_of(row.zidentifier)
    return row.zfoldertype == 1 or (identifier is not None and identifier.startswith(_TRASH))


def _folder_join(source: Source) -> Join | None:
    """Until iOS 10 a note could be in several folders, and names none."""
    return None if "zfolder" in source.columns(OBJECTS) else find_join(source, "FOLDERS", "NOTES")


def _class_of(row: _Object) -> str | None:
    found = (kind for column, kind in _SIGNS if getattr(row, column) is not None)
    return next(found, None)
