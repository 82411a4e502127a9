"""What hangs on a WhatsApp message: its file, place or card, what it quotes, who reacted.

Reads `ZWAMEDIAITEM`: ZMEDIALOCALPATH, ZVCARDSTRING, ZVCARDNAME, ZTITLE, ZFILESIZE, ZMOVIEDURATION,
ZLATITUDE, ZLONGITUDE, ZMETADATA. `ZWAMESSAGEINFO`: ZRECEIPTINFO. The two blobs are protocol
buffers.

Source: docs/formats.md, WhatsApp.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from app.backups.parsers.apple_time import EPOCH
from app.backups.parsers.attachments import guess_type
from app.backups.parsers.backup_files import Files
from app.backups.parsers.cells import blob_of, code_of, line_of, place_of, size_of, text_of, time_of
from app.backups.parsers.jids import jid_of
from app.backups.parsers.lookup import Lookup
from app.backups.parsers.protobuf import Fields, ProtobufError, decode
from app.backups.parsers.source import Row, Source, Table
from app.backups.parsers.whatsapp_records import Attachment, ContactCard, Reaction

_ITEMS = Table(
    "ZWAMEDIAITEM",
    (
        "ZMEDIALOCALPATH",
        "ZVCARDSTRING",
        "ZVCARDNAME",
        "ZTITLE",
        "ZFILESIZE",
        "ZMOVIEDURATION",
        "ZLATITUDE",
        "ZLONGITUDE",
        "ZMETADATA",
    ),
)
_INFOS = Table("ZWAMESSAGEINFO", ("ZRECEIPTINFO",))
_DOMAIN = "AppDomainGroup-group.net.whatsapp.WhatsApp.shared"
_BUSINESS_DOMAIN = "AppDomainGroup-group.net.whatsapp.WhatsAppSMB.shared"
_ROOM = "Message/"  # what ZMEDIALOCALPATH leaves out
_WITH_FILE = {"image", "video", "audio", "document", "gif", "sticker", "view_once"}

_MAX_BLOB_BYTES = 2**20  # real ones have hundreds
_QUOTED_ID, _FORWARDS, _QUOTED = 5, 17, 19  # of ZMETADATA
_QUOTED_TEXT = 1
_REACTIONS = 7  # of ZRECEIPTINFO
_REACTIONS_TAG = bytes((_REACTIONS << 3 | 2,))
_OTHERS, _OWN = 1, 2  # of the field above
_EPOCH_MS = int(EPOCH.timestamp()) * 1000
_LAST_MS = 2**43  # the year 2248


class Media(NamedTuple):
    """What a media item tells of its message."""

    attachments: list[Attachment]
    latitude: float | None
    longitude: float | None
    place: str | None
    contact: ContactCard | None
    reply_to: str | None
    quoted_text: str | None
    forwards: int | None


NO_MEDIA = Media([], None, None, None, None, None, None, None)


class MediaItems:
    """Looks media items up, a batch at a time."""

    def __init__(self, source: Source, folder: Path | None, *, business: bool) -> None:
        """`folder` is the backup in which to look whether the files are there, or None."""
        self._lookup = Lookup(source, _ITEMS)
        self._files = Files(_BUSINESS_DOMAIN if business else _DOMAIN, folder)

    def fetch(self, rowids: Iterable[object]) -> dict[int, Row]:
        """The rows with these numbers."""
        return self._lookup.fetch(rowids)

    def read(self, row: Row, kind: str) -> Media:
        """What a row means for a message of this kind: its columns have several uses."""
        _, path, described, named, title, _, _, latitude, longitude, metadata = row
        reply_to, quoted, forwards = _quotation(metadata)
        here = place_of(latitude, longitude) if kind == "location" else (None, None)
        is_card = kind == "contact"
        return Media(
            [self._attachment(row, kind)] if kind in _WITH_FILE or line_of(path) else [],
            *here,
            line_of(title) if kind == "location" else None,
            ContactCard(line_of(named), text_of(described)) if is_card else None,
            reply_to,
            quoted,
            forwards,
        )

    def _attachment(self, row: Row, kind: str) -> Attachment:
        _, stored, mime, _, title, size, duration, *_ = row
        path = line_of(stored)
        name = path and path.rpartition("/")[2]
        if kind == "document":
            name, title = line_of(title) or name, None
        file_id, present = self._files.find(path and _ROOM + path.lstrip("/"))
        return Attachment(
            name or None,
            _mime_type(mime) or guess_type(None, name),
            size_of(size),
            size_of(code_of(duration)),
            text_of(title),
            file_id,
            present,
        )


class Receipts:
    """Looks up what others made of messages, a batch at a time."""

    def __init__(self, source: Source) -> None:
        self._lookup = Lookup(source, _INFOS)

    def fetch(self, rowids: Iterable[object]) -> dict[int, Row]:
        """The rows with these numbers."""
        return self._lookup.fetch(rowids)

    def reactions(self, row: Row) -> list[Reaction]:
        """The reactions in a row; a damaged blob has none. Never raises."""
        blob = _small(row[1])
        if blob is None or _REACTIONS_TAG not in blob:
            return []
        try:
            fields = decode(blob).message(_REACTIONS)
            others, own = fields.messages(_OTHERS), fields.messages(_OWN)
        except ProtobufError:
            return []
        found = [_reaction(one.text(3), one.text(2), one.number(4)) for one in others]
        found += [_reaction(one.text(2), None, one.number(3), mine=True) for one in own]
        return [one for one in found if one is not None]


def _reaction(
    emoji: str | None, sender: str | None, at_ms: int | None, *, mine: bool = False
) -> Reaction | None:
    if emoji is None:  # it was taken back
        return None
    at = time_of((at_ms - _EPOCH_MS) / 1000) if at_ms and at_ms < _LAST_MS else None
    return Reaction(emoji, jid_of(sender), mine, at)


def _quotation(blob: object) -> tuple[str | None, str | None, int | None]:
    """The stanza id and text of what a message quotes, and how often it was forwarded."""
    metadata = _small(blob)
    if metadata is None:
        return None, None, None
    try:
        fields = decode(metadata)
    except ProtobufError:
        return None, None, None
    forwards = fields.number(_FORWARDS)
    few = forwards if forwards is not None and 0 < forwards < 2**31 else None
    return fields.text(_QUOTED_ID), _quoted_text(fields), few


def _quoted_text(fields: Fields) -> str | None:
    try:
        return fields.message(_QUOTED).text(_QUOTED_TEXT)
    except ProtobufError:
        return None


def _small(blob: object) -> bytes | None:
    known = blob_of(blob)
    return known if known is not None and len(known) <= _MAX_BLOB_BYTES else None


def _mime_type(value: object) -> str | None:
    """The type without its parameters; None for what is none, such as a vCard."""
    text = line_of(value)
    kind = text.partition(";")[0].strip().lower() if text else ""
    return kind if kind.count("/") == 1 and len(kind) < 100 and not kind.startswith("/") else None
