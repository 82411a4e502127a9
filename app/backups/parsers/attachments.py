"""Files sent with messages, and where a backup keeps them.

Reads `attachment`: guid, filename, uti, mime_type, transfer_name, total_bytes, is_sticker,
hide_attachment. Source: docs/formats.md, The backup folder and Messages.
"""

import hashlib
import mimetypes
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from app.backups.parsers.message_records import Attachment
from app.backups.parsers.source import Row, Source, Table

_TABLE = Table(
    "attachment",
    (
        "guid",
        "filename",
        "uti",
        "mime_type",
        "transfer_name",
        "total_bytes",
        "is_sticker",
        "hide_attachment",
    ),
)
_AT_ONCE = 500  # rowids per query: one statement, always of the same length, stays prepared
_HOMES = ("~/", "/var/mobile/", "/private/var/mobile/")
_DOMAIN, _ROOM = "MediaDomain", "Library/SMS/"  # a Mac's Library/Messages is in no backup

_TYPES = mimetypes.MimeTypes(filenames=())  # the built-in table: the same answer on every host
_BY_SUFFIX = {
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".webp": "image/webp",
    ".amr": "audio/amr",
    ".caf": "audio/x-caf",
    ".m4a": "audio/mp4",
    ".vcf": "text/vcard",
    ".vlocation": "text/x-vlocation",
}
_BY_UTI = {
    "public.jpeg": "image/jpeg",
    "public.png": "image/png",
    "public.heic": "image/heic",
    "com.compuserve.gif": "image/gif",
    "public.mpeg-4": "video/mp4",
    "com.apple.quicktime-movie": "video/quicktime",
    "com.apple.coreaudio-format": "audio/x-caf",
    "org.3gpp.adaptive-multi-rate-audio": "audio/amr",
    "public.mp3": "audio/mpeg",
    "com.adobe.pdf": "application/pdf",
    "public.vcard": "text/vcard",
    "public.plain-text": "text/plain",
}


class Attachments:
    """Looks attachments up by rowid, a batch at a time, so that memory stays flat.

    Attributes:
        hidden: how many were left out because they are no user's file (the pictures of link
            previews).
        lost: how many could not be read because of damage.
    """

    def __init__(self, source: Source, folder: Path | None) -> None:
        """`folder` is the backup in which to look whether the files are there, or None."""
        self._source = source
        self._presence = Presence(folder) if folder is not None else None
        marks = ",".join("?" * _AT_ONCE)
        self._known = bool(source.columns(_TABLE.name))
        self._sql = f"{source.select(_TABLE)} WHERE ROWID IN ({marks})"
        self.hidden = 0
        self.lost = 0

    def fetch(self, rowids: Iterable[int]) -> dict[int, Attachment]:
        """The attachments with these rowids, without the hidden ones."""
        wanted = sorted(set(rowids)) if self._known else []
        found: dict[int, Attachment] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            for row in self._rows(wanted[start : start + _AT_ONCE]):
                if row[8] == 1:
                    self.hidden += 1
                else:
                    found[row[0]] = self._attachment(row)
        return found

    def _rows(self, rowids: list[int]) -> Iterator[Row]:
        try:
            yield from self._query(rowids)
        except sqlite3.DatabaseError:
            for rowid in rowids:
                try:
                    yield from self._query([rowid])
                except sqlite3.DatabaseError:
                    self.lost += 1

    def _query(self, rowids: list[int]) -> list[Row]:
        values = rowids + [None] * (_AT_ONCE - len(rowids))
        return [row for rows in self._source.query(self._sql, values) for row in rows]

    def _attachment(self, row: Row) -> Attachment:
        _, guid, path, uti, mime, name, size, sticker, _ = row
        path = path if isinstance(path, str) else None
        shown = name if isinstance(name, str) and name else path and PurePosixPath(path).name
        file_id = attachment_file_id(path)
        present = (
            None if self._presence is None else file_id is not None and file_id in self._presence
        )
        return Attachment(
            guid if isinstance(guid, str) else None,
            shown or None,
            mime if isinstance(mime, str) and mime else guess_type(uti, shown),
            size if type(size) is int and size > 0 else None,
            file_id,
            present,
            bool(sticker),
        )


class Presence:
    """Which hashed files a backup folder holds; nothing is opened and no link is followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rooms: dict[str, bool] = {}

    def __contains__(self, file_id: str) -> bool:
        room = file_id[:2]
        if room not in self._rooms:
            self._rooms[room] = self._is(stat.S_IFDIR, room)
        return self._rooms[room] and self._is(stat.S_IFREG, f"{room}/{file_id}")

    def _is(self, kind: int, name: str) -> bool:
        try:
            return stat.S_IFMT((self._folder / name).lstat().st_mode) == kind
        except OSError:
            return False


def attachment_file_id(path: str | None) -> str | None:
    """The hashed name of an attachment, or None for a path that is in no backup."""
    for home in _HOMES:
        if path is not None and path.startswith(home + _ROOM):
            inside = path.removeprefix(home)
            return hashlib.sha1(f"{_DOMAIN}-{inside}".encode(), usedforsecurity=False).hexdigest()
    return None


def guess_type(uti: object, filename: str | None) -> str | None:
    """The MIME type where the row has none, from Apple's type identifier or the file's ending."""
    if isinstance(uti, str) and uti in _BY_UTI:
        return _BY_UTI[uti]
    suffix = PurePosixPath(filename or "").suffix.lower()
    return _BY_SUFFIX.get(suffix) or _TYPES.types_map[True].get(suffix)
