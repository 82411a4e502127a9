"""Files sent with messages, and where a backup keeps them.

Reads `attachment`: guid, filename, uti, mime_type, transfer_name, total_bytes, is_sticker,
hide_attachment. Source: docs/formats.md, The backup folder and Messages.
"""

import mimetypes
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from app.backups.parsers.backup_files import Files
from app.backups.parsers.lookup import Lookup
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
    """

    def __init__(self, source: Source, folder: Path | None) -> None:
        """`folder` is the backup in which to look whether the files are there, or None."""
        self._source = source
        self._files = Files(_DOMAIN, folder)
        self._lookup = Lookup(source, _TABLE)
        self.hidden = 0

    @property
    def lost(self) -> int:
        """How many could not be read because of damage."""
        return self._source.lost.get(_TABLE.name, 0)

    def fetch(self, rowids: Iterable[int]) -> dict[int, Attachment]:
        """The attachments with these rowids, without the hidden ones."""
        found: dict[int, Attachment] = {}
        for rowid, row in self._lookup.fetch(rowids).items():
            if row[8] == 1:
                self.hidden += 1
            else:
                found[rowid] = self._attachment(row)
        return found

    def _attachment(self, row: Row) -> Attachment:
        _, guid, path, uti, mime, name, size, sticker, _ = row
        path = path if isinstance(path, str) else None
        shown = name if isinstance(name, str) and name else path and PurePosixPath(path).name
        file_id, present = self._files.find(_inside(path))
        return Attachment(
            guid if isinstance(guid, str) else None,
            shown or None,
            mime if isinstance(mime, str) and mime else guess_type(uti, shown),
            size if type(size) is int and size > 0 else None,
            file_id,
            present,
            bool(sticker),
        )


def _inside(path: str | None) -> str | None:
    """The path within the domain, or None for one that is in no backup."""
    for home in _HOMES:
        if path is not None and path.startswith(home + _ROOM):
            return path.removeprefix(home)
    return None


def guess_type(uti: object, filename: str | None) -> str | None:
    """The MIME type where the row has none, from Apple's type identifier or the file's ending."""
    if isinstance(uti, str) and uti in _BY_UTI:
        return _BY_UTI[uti]
    suffix = PurePosixPath(filename or "").suffix.lower()
    return _BY_SUFFIX.get(suffix) or _TYPES.types_map[True].get(suffix)
