"""Messages (`sms.db`, on a Mac `chat.db`): every message with what belongs to it.

Reads `message`, whose wanted columns are the fields of `RawMessage`, in one scan by rowid; the tables
around it are read before or looked up a batch at a time (see the modules named in the imports).
Any column may be missing: from iOS 6 to iOS 26 the table grew from 38 to 95 of them.

Source: docs/formats.md, Messages.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from app.backups.parsers.apple_time import from_apple
from app.backups.parsers.artifact import BATCH, in_parts
from app.backups.parsers.attachments import Attachments
from app.backups.parsers.cells import int_of, text_of
from app.backups.parsers.conversations import Chats, Handles
from app.backups.parsers.errors import UnsupportedSchema
from app.backups.parsers.message_columns import RawColumns, in_order, sparse
from app.backups.parsers.message_joins import Joins
from app.backups.parsers.message_kinds import RawMessage, effect_of
from app.backups.parsers.message_records import Attachment, Conversation, MessageColumns
from app.backups.parsers.reactions import Reactions, is_reaction
from app.backups.parsers.source import Row, Source, Table

SOURCE = "messages"  # the logical name of the database

_TABLE = Table("message", RawMessage._fields[1:])
_ASSOCIATION = RawMessage._fields.index("associated_message_type")
_ATTACHED = Table("message_attachment_join", ("message_id", "attachment_id"))


class MessageBatch(NamedTuple):
    """Messages in rowid order, by the column."""

    columns: MessageColumns
    last_rowid: int  # of the last row read, which may have given no message


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

    def batches(self, *, after: int = 0, batch: int = BATCH) -> Iterator[MessageBatch]:
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
            kept = self._without_reactions(rows)
            found = self._messages(RawColumns(kept)) if kept else MessageColumns.none()
            for part, rowid in in_parts(found.id, found.text, rows[-1][0]):
                yield MessageBatch(found.part(part), rowid)

    def _without_reactions(self, rows: list[Row]) -> list[Row]:
        kept = []
        for row in rows:
            if row[_ASSOCIATION] and is_reaction(row[_ASSOCIATION]):
                self.reactions.add_aimless(row[0])
            else:
                kept.append(row)
        return kept

    def _messages(self, columns: RawColumns) -> MessageColumns:
        raw = columns.raw
        guids, files = columns.guids(), self._files(raw)
        chats, deleted = self.chats.columns(raw.rowid)
        texts = columns.texts()
        unsent = columns.unsent(texts)
        for place in unsent:
            texts[place] = None
        whose = (raw.is_from_me, raw.handle_id, raw.destination_caller_id, raw.account)
        messages = MessageColumns(
            id=list(raw.rowid),
            guid=guids,
            conversation_id=chats,
            sent_at=list(map(from_apple, raw.date)),
            is_from_me=list(map(bool, raw.is_from_me)),
            sender=list(map(self._handles.sender, *whose)),
            service=[one if type(one) is str else None for one in raw.service],
            kind=columns.kinds(files),
            text=texts,
            subject=sparse(raw.subject, text_of),
            reply_to_guid=sparse(raw.thread_originator_guid, _reply),
            edited_at=columns.edited_at(unsent),
            edits=columns.edits(),
            unsent=unsent,
            deleted_at=deleted,
            effect=sparse(raw.expressive_send_style_id, effect_of),
            error_code=sparse(raw.error, int_of),
            reactions=self.reactions.take(guids),
            attachments=files,
            event=columns.events(self._handles.get),
            link=columns.links(),
        )
        self.counts["text_from_body"] += columns.from_body
        self._tally(messages)
        return messages

    def _files(self, raw: RawMessage) -> dict[int, list[Attachment]]:
        """The attachments of the messages that have some, by place in the batch."""
        joined = self._attached.among(raw.rowid)
        known = self.attachments.fetch(one for ids in joined.values() for one in ids)
        files = {}
        for place, rowid in enumerate(raw.rowid) if joined else ():
            if rowid in joined:
                found = [known[one] for one in joined[rowid] if one in known]
                if found:  # some are hidden, or not there
                    files[place] = in_order(found, raw.attributedbody[place])
        return files

    def _tally(self, messages: MessageColumns) -> None:
        counts = self.counts
        counts.update(messages.kind)
        counts["messages"] += len(messages.id)
        counts["edited"] += len(messages.edits)
        counts["unsent"] += len(messages.unsent)
        counts["replies"] += len(messages.reply_to_guid)
        counts["effects"] += len(messages.effect)
        counts["deleted"] += len(messages.deleted_at)
        counts["failed"] += len(messages.error_code)
        counts["without_conversation"] += messages.conversation_id.count(None)
        counts["attachments"] += sum(map(len, messages.attachments.values()))
        counts["reactions"] += sum(map(len, messages.reactions.values()))


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
