"""WhatsApp (`ChatStorage.sqlite`): every message with its media, reactions and quotation.

Reads `ZWAMESSAGE`, whose wanted columns are the fields of `RawMessage`, in one scan by rowid.
`ZWAMEDIAITEM` and `ZWAMESSAGEINFO` are looked up a batch at a time, see `whatsapp_media`; the
chats and everybody in them are read before, see `whatsapp_chats` and `jids`.

Source: docs/formats.md, WhatsApp.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from app.backups.parsers.artifact import BATCH, Artifact, Batch, in_parts
from app.backups.parsers.cells import code_of, line_of, text_of, time_of
from app.backups.parsers.jids import Known, People, jid_of
from app.backups.parsers.source import Row, Source, Table
from app.backups.parsers.whatsapp_chats import Chats
from app.backups.parsers.whatsapp_media import NO_MEDIA, MediaItems, Receipts
from app.backups.parsers.whatsapp_records import GroupEvent, Message

KINDS = {
    0: "text",
    1: "image",
    2: "video",
    3: "audio",
    4: "contact",
    5: "location",
    6: "group_event",
    7: "link",
    8: "document",
    10: "service",  # encryption and the like
    11: "gif",
    14: "deleted",  # for everyone
    15: "sticker",
    38: "view_once",
    39: "view_once",
    46: "poll",
    59: "call",
}
_EVENTS = {"group_event", "service"}  # for other kinds ZGROUPEVENTTYPE means nothing


class RawMessage(NamedTuple):
    """A row of ZWAMESSAGE as it is read."""

    rowid: int
    zisfromme: Any
    ztext: Any
    zmessagedate: Any
    zchatsession: Any
    zgroupmember: Any
    zfromjid: Any
    zmediaitem: Any
    zmessageinfo: Any
    zmessagetype: Any
    zgroupeventtype: Any
    zstanzaid: Any
    zstarred: Any
    zmessagestatus: Any


class WhatsApp(Artifact[Message]):
    """The messages of one WhatsApp. See `Artifact`.

    `counts`: messages, one for each kind, attachments, reactions, replies, starred, without_chat.
    """

    table = Table("ZWAMESSAGE", RawMessage._fields[1:])

    def __init__(
        self,
        source: Source,
        folder: Path | None = None,
        *,
        known: Sequence[Known] = (),
        business: bool = False,
    ) -> None:
        """Read everything but the messages themselves.

        Args:
            source: the opened database.
            folder: the backup in which to look whether media are there, or None.
            known: what the databases beside it know, see `jids.read_contacts` and
                `jids.read_lids`; the best first.
            business: this is WhatsApp Business, whose files lie elsewhere.

        Raises:
            UnsupportedSchema: this is no WhatsApp database of a kind we know.
            Corrupt: the schema is unreadable, or reading takes far too long.
        """
        source.require("ZWAMESSAGE", ("ZMESSAGEDATE", "ZTEXT"))
        source.require("ZWACHATSESSION", ("ZCONTACTJID",))
        super().__init__(source)
        self._chats = Chats(source, People(source, *known))
        self.total = self._chats.total
        self._media = MediaItems(source, folder, business=business)
        self._receipts = Receipts(source)

    @property
    def heads(self) -> dict[str, list[Any]]:
        """`chats`, in rowid order, and `people`: everybody with number and name."""
        return {"chats": self._chats.all(), "people": self._chats.everybody()}

    def batches(self, *, after: int = 0, batch: int = BATCH) -> Iterator[Batch[Message]]:
        """See `Artifact.batches`; a batch ends early where its texts are long."""
        for records, last in super().batches(after=after, batch=batch):
            ids, texts = [one.id for one in records], [one.text for one in records]
            for part, rowid in in_parts(ids, texts, last):
                yield Batch(records[part], rowid)

    def _records(self, rows: list[Row]) -> list[Message]:
        raws = list(map(RawMessage._make, rows))
        media = self._media.fetch(raw.zmediaitem for raw in raws)
        receipts = self._receipts.fetch(raw.zmessageinfo for raw in raws)
        return [self._message(raw, media, receipts) for raw in raws]

    def _message(self, raw: RawMessage, media: dict[int, Row], receipts: dict[int, Row]) -> Message:
        type_ = code_of(raw.zmessagetype)
        kind = "other" if type_ is None else KINDS.get(type_, "other")
        item = media.get(raw.zmediaitem) if type(raw.zmediaitem) is int else None
        found = NO_MEDIA if item is None else self._media.read(item, kind)
        info = receipts.get(raw.zmessageinfo) if type(raw.zmessageinfo) is int else None
        mine, chat = bool(raw.zisfromme), self._chats.id_of(raw.zchatsession)
        return Message(
            raw.rowid,
            line_of(raw.zstanzaid) or f"message-{raw.rowid}",
            chat,
            time_of(raw.zmessagedate),
            mine,
            None if mine else self._chats.sender(chat, raw.zgroupmember, raw.zfromjid),
            kind,
            type_,
            text_of(raw.ztext),
            found.reply_to,
            found.quoted_text,
            bool(raw.zstarred),
            code_of(raw.zmessagestatus),
            found.forwards,
            found.latitude,
            found.longitude,
            found.place,
            _event(raw) if kind in _EVENTS else None,
            found.contact,
            [] if info is None else self._receipts.reactions(info),
            found.attachments,
        )

    def _tally(self, records: list[Message]) -> None:
        counts = self.counts
        counts.update(message.kind for message in records)
        counts["messages"] += len(records)
        counts["attachments"] += sum(len(one.attachments) for one in records)
        counts["reactions"] += sum(len(one.reactions) for one in records)
        counts["replies"] += sum(1 for one in records if one.reply_to_stanza_id)
        counts["starred"] += sum(one.starred for one in records)
        counts["without_chat"] += sum(1 for one in records if one.chat_id is None)


def _event(raw: RawMessage) -> GroupEvent:
    jid = jid_of(raw.ztext)
    return GroupEvent(code_of(raw.zgroupeventtype), jid, None if jid else line_of(raw.ztext))
