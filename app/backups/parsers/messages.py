"""Messages (`sms.db`, on a Mac `chat.db`): every message with what belongs to it.

Reads `message`, whose wanted columns are the fields of `RawMessage`, in one scan by rowid; the tables
around it are read before or looked up a batch at a time (see the modules named in the imports).
Any column may be missing: from iOS 6 to iOS 26 the table grew from 38 to 95 of them.

Source: docs/formats.md, Messages.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from app.backups.parsers.apple_time import from_apple
from app.backups.parsers.attachments import Attachments
from app.backups.parsers.conversations import Chats, Handles
from app.backups.parsers.errors import UnsupportedSchema
from app.backups.parsers.message_joins import Joins
from app.backups.parsers.message_kinds import RawMessage, effect_of, event_of, is_link, kind_of
from app.backups.parsers.message_plists import Summary, read_link, read_summary
from app.backups.parsers.message_records import Attachment, Conversation, Message
from app.backups.parsers.reactions import Reactions, is_reaction
from app.backups.parsers.source import Source, Table
from app.backups.parsers.typedstream import ATTACHMENT, TRANSCRIPTION, read, text_of
from app.backups.parsers.unarchiver import TypedStreamError

SOURCE = "messages"  # the logical name of the database
BATCH = 5000  # rows read at once: 5 MiB, and 50 ms between two looks at the outside

_PLACEHOLDERS = "\ufffc\ufffd"
_NOTHING_EDITED = Summary([], None, unsent=False)


_TABLE = Table("message", RawMessage._fields[1:])
_ATTACHED = Table("message_attachment_join", ("message_id", "attachment_id"))


class Batch(NamedTuple):
    """Messages in rowid order."""

    messages: list[Message]
    last_rowid: int  # of the last row read, which may have been a reaction


class Messages:
    """The messages of one database.

    Attributes:
        total: how many messages there are, reactions not counted. Exact unless the database is
            damaged or has reactions to nothing, which are found while reading only.
        conversations: all chats, in rowid order.
        counts: what `batches` has met so far: one number for each kind, and for "edited",
            "unsent", "replies", "effects", "deleted", "failed", "attachments", "reactions" and
            "text_from_body" (text that was in attributedBody only).
    """

    def __init__(self, source: Source, folder: Path | None = None) -> None:
        """Read everything but the messages themselves.

        Args:
            source: the opened database.
            folder: the backup in which to look whether attachments are there, or None.

        Raises:
            UnsupportedSchema: no generation of this database that we know (iOS 5 and before).
            Corrupt: the schema is unreadable, or reading takes far too long.
        """
        _check_schema(source)
        self._source = source
        handles = Handles(source)
        self._handles = handles
        self.reactions = Reactions(source, handles.sender)
        self.chats = Chats(source, handles)
        self.total: int
        self.conversations: list[Conversation]
        self.total, self.conversations = self.chats.conversations(self.reactions.rowids)
        self.attachments = Attachments(source, folder)
        self._attached = Joins(source.last_rowid("message"), self.total)
        for rows in source.scan(_ATTACHED):
            for _, message, attachment in rows:
                self._attached.add(message, attachment)
        self.counts: Counter[str] = Counter()

    @property
    def lost(self) -> int:
        """Rowids of `message` that damage has hidden so far."""
        return self._source.lost.get(_TABLE.name, 0)

    def batches(self, *, after: int = 0, batch: int = BATCH) -> Iterator[Batch]:
        """All messages with a rowid above `after`, in rowid order.

        Going on after the `last_rowid` of a batch gives exactly the messages not yet given.
        """
        if after:
            for rows in self._source.scan(Table("message", ("guid",)), batch=batch):
                self.reactions.forget(guid for rowid, guid in rows if rowid <= after)
                if rows[-1][0] > after:
                    break
        self._source.lost.pop(_TABLE.name, None)  # the passes before this one met the same damage
        for rows in self._source.scan(_TABLE, after=after, batch=batch):
            raws = [raw for raw in map(RawMessage._make, rows) if not self._is_reaction(raw)]
            joined = {raw.rowid: ids for raw in raws if (ids := self._attached.of(raw.rowid))}
            files = self.attachments.fetch(one for ids in joined.values() for one in ids)
            messages = [self._message(raw, joined.get(raw.rowid), files) for raw in raws]
            self._tally(messages)
            yield Batch(messages, rows[-1][0])

    def _is_reaction(self, raw: RawMessage) -> bool:
        if not is_reaction(raw.associated_message_type):
            return False
        self.reactions.add_aimless(raw.rowid)
        return True

    def _message(
        self, raw: RawMessage, joined: list[int] | None, files: dict[int, Attachment]
    ) -> Message:
        guid = raw.guid if raw.guid and type(raw.guid) is str else f"message-{raw.rowid}"
        chat, deleted_at = self.chats.of(raw.rowid)
        attachments = [files[one] for one in joined if one in files] if joined else []
        if len(attachments) > 1:
            attachments = _in_order(attachments, raw.attributedbody)
        summary = _NOTHING_EDITED
        if raw.date_edited or raw.date_retracted:
            summary = read_summary(raw.message_summary_info)
        text = self._text(raw, summary)
        unsent = summary.unsent or bool(raw.date_retracted and not text)
        return Message(
            raw.rowid,
            guid,
            chat,
            from_apple(raw.date),
            bool(raw.is_from_me),
            self._handles.sender(
                raw.is_from_me, raw.handle_id, raw.destination_caller_id, raw.account
            ),
            raw.service if type(raw.service) is str else None,
            kind_of(raw, has_files=bool(attachments)),
            None if unsent else text,
            raw.subject if raw.subject and type(raw.subject) is str else None,
            _reply(raw.thread_originator_guid),
            _edited_at(raw, summary, unsent=unsent),
            summary.edits,
            unsent,
            deleted_at,
            effect_of(raw.expressive_send_style_id),
            raw.error if raw.error and type(raw.error) is int else None,
            self.reactions.take(guid),
            attachments,
            event_of(raw, self._handles.get) if raw.item_type else None,
            read_link(raw.payload_data) if raw.payload_data and is_link(raw) else None,
        )

    def _text(self, raw: RawMessage, summary: Summary) -> str | None:
        text, body = raw.text, raw.attributedbody
        if (not text or type(text) is not str) and type(body) is bytes:
            text = text_of(body)
            self.counts["text_from_body"] += bool(text)
        if not text or type(text) is not str:
            text = summary.current
        if text and not text.strip(_PLACEHOLDERS):
            text = _transcription(body) if raw.is_audio_message else None
        return text or None

    def _tally(self, messages: list[Message]) -> None:
        counts = self.counts
        counts.update(message.kind for message in messages)
        counts["messages"] += len(messages)
        counts["edited"] += sum(1 for one in messages if one.edits)
        counts["unsent"] += sum(one.unsent for one in messages)
        counts["replies"] += sum(1 for one in messages if one.reply_to_guid)
        counts["effects"] += sum(1 for one in messages if one.effect)
        counts["deleted"] += sum(1 for one in messages if one.deleted_at)
        counts["failed"] += sum(1 for one in messages if one.error_code)
        counts["without_conversation"] += sum(1 for one in messages if one.conversation_id is None)
        counts["attachments"] += sum(len(one.attachments) for one in messages)
        counts["reactions"] += sum(len(one.reactions) for one in messages)


def _check_schema(source: Source) -> None:
    if not source.columns("message"):
        raise UnsupportedSchema("there is no table message: this is not a Messages database.")
    if not source.columns("chat") and source.columns("msg_group"):
        raise UnsupportedSchema("this Messages database was made by iOS 5 or earlier.")
    source.require("message", ("guid", "date"))
    source.require("chat", ("guid",))
    source.require("chat_message_join", ("chat_id", "message_id"))


def _reply(originator: object) -> str | None:
    """The guid of the message at the root of the thread, whose part is written before a slash."""
    return originator.rpartition("/")[2] or None if isinstance(originator, str) else None


def _edited_at(raw: RawMessage, summary: Summary, *, unsent: bool) -> datetime | None:
    """When the text was last changed. Taking a message back sets the column too."""
    if unsent and not summary.edits:
        return None
    return from_apple(raw.date_edited)


def _in_order(attachments: list[Attachment], body: object) -> list[Attachment]:
    """Attachments in the order of the parts; as joined where the body does not tell."""
    if type(body) is not bytes or ATTACHMENT.encode() not in body:
        return attachments
    try:
        parts = read(body).attachments()
    except TypedStreamError:
        return attachments
    places = {guid: place for place, (_, guid) in enumerate(parts)}
    return sorted(attachments, key=lambda one: places.get(one.guid or "", len(places)))


def _transcription(body: object) -> str | None:
    if type(body) is not bytes or TRANSCRIPTION.encode() not in body:
        return None
    try:
        return read(body).transcription()
    except TypedStreamError:
        return None
