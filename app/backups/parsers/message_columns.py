"""A batch of `message` as columns, and the columns of messages that are made of them alone.

Most cells of most columns say nothing, so a batch is worked on by the column: a loop that the
interpreter runs in C for what every message has, and a look at single rows only where something
is. That is three times as fast as making one message after the other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from app.backups.parsers.apple_time import from_apple
from app.backups.parsers.message_kinds import RawMessage, event_of, is_link, kind_of
from app.backups.parsers.message_plists import Summary, read_link, read_summary
from app.backups.parsers.message_records import Attachment, Edit, GroupEvent, LinkPreview
from app.backups.parsers.source import Row
from app.backups.parsers.typedstream import ATTACHMENT, TRANSCRIPTION, read, text_of
from app.backups.parsers.unarchiver import TypedStreamError

T = TypeVar("T")

_PLACEHOLDERS = "\ufffc\ufffd"


class RawColumns:
    """A batch of rows of `message`, at least one.

    Attributes:
        raw: the columns, each a tuple of cells.
        places: 0 to the number of rows.
        summaries: by place, what is told of messages that were edited or taken back.
        from_body: how many texts were in `attributedBody` only.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.from_body = 0
        self.raw = RawMessage._make(zip(*rows, strict=True))
        self.places = range(len(rows))
        changed = self.told(self.raw.date_edited, self.raw.date_retracted)
        told = self.raw.message_summary_info
        self.summaries: dict[int, Summary] = {one: read_summary(told[one]) for one in changed}

    def row(self, place: int) -> RawMessage:
        """One row."""
        return RawMessage._make(self._rows[place])

    def told(self, *columns: Sequence[Any]) -> list[int]:
        """Places at which one of these columns says something."""
        found = {
            place
            for column in columns
            if any(column)
            for place, cell in enumerate(column)
            if cell
        }  # fmt: skip
        return sorted(found)

    def guids(self) -> list[str]:
        """A guid for each message; where there is none, one is made of the rowid."""
        return [
            guid if type(guid) is str and guid else f"message-{rowid}"
            for rowid, guid in zip(self.raw.rowid, self.raw.guid, strict=True)
        ]

    def kinds(self, with_files: Iterable[int]) -> list[str]:
        """What each message is; see `kind_of`."""
        raw, kinds, files = self.raw, ["text"] * len(self.places), set(with_files)
        unusual = self.told(
            raw.item_type, raw.associated_message_type, raw.balloon_bundle_id, raw.is_audio_message
        )
        for place in files.union(unusual):
            kinds[place] = kind_of(self.row(place), has_files=place in files)
        return kinds

    def texts(self) -> list[str | None]:
        """What each message says; counts in `from_body` what only `attributedBody` tells."""
        texts: list[str | None] = []
        for text, body in zip(self.raw.text, self.raw.attributedbody, strict=True):
            if type(text) is str and text:
                texts.append(text)
            else:
                found = (text_of(body) or None) if type(body) is bytes else None
                self.from_body += found is not None
                texts.append(found)
        for place, summary in self.summaries.items():
            texts[place] = texts[place] or summary.current
        for place, said in enumerate(texts):
            if said and said[0] in _PLACEHOLDERS and not said.strip(_PLACEHOLDERS):
                texts[place] = self._transcription(place)
        return texts

    def unsent(self, texts: Sequence[str | None]) -> dict[int, bool]:
        """True for the messages that were taken back as a whole."""
        retracted = self.raw.date_retracted
        return {
            place: True
            for place, summary in self.summaries.items()
            if summary.unsent or (retracted[place] and not texts[place])
        }

    def edits(self) -> dict[int, list[Edit]]:
        """Every wording of the messages that were edited."""
        return {place: one.edits for place, one in self.summaries.items() if one.edits}

    def edited_at(self, unsent: Mapping[int, bool]) -> dict[int, datetime]:
        """When the texts were last changed. Taking a message back sets the column too."""
        changed = (
            place for place, one in self.summaries.items() if one.edits or place not in unsent
        )
        return _not_none((place, from_apple(self.raw.date_edited[place])) for place in changed)

    def events(self, handle: Callable[[object], str | None]) -> dict[int, GroupEvent]:
        """What happened, where a row reports that; see `event_of`."""
        reporting = self.told(self.raw.item_type)
        return {place: event_of(self.row(place), handle) for place in reporting}

    def links(self) -> dict[int, LinkPreview]:
        """The previews of links."""
        shown = (place for place in self.told(self.raw.payload_data) if is_link(self.row(place)))
        return _not_none((place, read_link(self.raw.payload_data[place])) for place in shown)

    def _transcription(self, place: int) -> str | None:
        """What was said in an audio message, where its body tells."""
        body = self.raw.attributedbody[place]
        if not self.raw.is_audio_message[place] or type(body) is not bytes:
            return None
        try:
            return read(body).transcription() if TRANSCRIPTION.encode() in body else None
        except TypedStreamError:
            return None


def sparse(column: Sequence[Any], make: Callable[[Any], T | None]) -> dict[int, T]:
    """What `make` makes of the cells that say something, by place."""
    if not any(column):
        return {}
    return _not_none((place, make(cell)) for place, cell in enumerate(column) if cell)


def _not_none(told: Iterable[tuple[int, T | None]]) -> dict[int, T]:
    return {place: one for place, one in told if one is not None}


def in_order(attachments: list[Attachment], body: object) -> list[Attachment]:
    """Attachments in the order of the parts; as joined where the body does not tell."""
    if len(attachments) < 2 or type(body) is not bytes or ATTACHMENT.encode() not in body:
        return attachments
    try:
        parts = read(body).attachments()
    except TypedStreamError:
        return attachments
    places = {guid: place for place, (_, guid) in enumerate(parts)}
    return sorted(attachments, key=lambda one: places.get(one.guid or "", len(places)))
