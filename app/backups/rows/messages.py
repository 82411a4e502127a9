"""Rows of the Messages app.

Here 100,000 messages pass a second, so rows are made by the column, and of what few messages have
nothing is made for the others (see `MessageColumns`).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from app.backups.items.messages import Message, MessageAttachment, MessageConversation
from app.backups.parsers import message_records as records
from app.backups.parsers.message_records import MessageColumns, spread
from app.backups.rows.frames import NO_FRAME, About, Frames
from app.backups.rows.making import Convert, Maker, Rows, Written, as_json, as_text, spoken
from app.core.processes import Refused

_NAMED = 4  # people of a group without a title that its label names


class AboutMessages(About):
    """What is known before the first message is read."""

    conversations: list[records.Conversation]


class MessageMaker(Maker):
    """Makes rows of `MessageConversation`, `Message` and `MessageAttachment`."""

    frames = Frames(AboutMessages, MessageColumns, lambda batch: len(batch.id))

    def head(self, about: AboutMessages) -> Written:
        """The chats."""
        rows = [self._conversation(record) for record in about.conversations]
        return [(MessageConversation, rows)]

    def _conversation(self, record: records.Conversation) -> tuple[Any, ...]:
        number, guid, service, group, title, people, count, last, person = record
        known = [(handle, self.directory.name(handle)) for handle in people]
        return (
            *self.stamp, number, guid, service, group, title, as_json(known), count,
            self.time(last), person, title or label(known),
        )  # fmt: skip

    def items(self, batch: MessageColumns) -> Written:
        """Messages, and the files that belong to them.

        Raises:
            Refused: the columns are not those of the same messages.
        """
        if not batch.whole:
            raise Refused(NO_FRAME)
        return [
            (Message, list(zip(*self._columns(batch), strict=True))),
            (MessageAttachment, self._files(batch)),
        ]

    def _columns(self, batch: MessageColumns) -> list[Iterable[Any]]:
        """The columns of the table."""
        many = len(batch.id)

        def told(column: Mapping[int, Any], make: Convert | None = None) -> Iterable[Any]:
            made = {place: make(one) for place, one in column.items()} if make else column
            return spread(made, many, None)

        return [
            *(repeat(one, many) for one in self.stamp),
            batch.id,
            batch.guid,
            batch.conversation_id,
            map(self.time, batch.sent_at),
            batch.is_from_me,
            batch.sender,
            batch.service,
            batch.kind,
            batch.text,
            told(batch.subject),
            told(batch.reply_to_guid),
            told(batch.edited_at, self.time),
            told(batch.edits, _edits),
            spread(batch.unsent, many, False),
            told(batch.deleted_at, self.time),
            told(batch.effect),
            told(batch.error_code),
            told(batch.reactions, _reactions),
            told(batch.event, as_json),
            told(batch.link, as_json),
            map(self.directory.name, batch.sender),
            told(_words(batch)),
        ]

    def _files(self, batch: MessageColumns) -> Rows:
        return [
            (*self.stamp, batch.id[place], position, *one)
            for place, files in batch.attachments.items()
            for position, one in enumerate(files)
        ]


def label(people: Sequence[tuple[str, str | None]]) -> str | None:
    """What to call a chat without a title: who is in it."""
    names = [name or handle for handle, name in people[:_NAMED]]
    more = ["…"] if len(people) > _NAMED else []
    return ", ".join(names + more) or None


def _words(batch: MessageColumns) -> dict[int, str | None]:
    """What else messages are found by: the names of their files, and what a link shows."""
    files, links = batch.attachments, batch.link
    return {
        place: spoken((file.filename for file in files.get(place, ())), links.get(place) or ())
        for place in files.keys() | links.keys()
    }


def _edits(edits: Sequence[records.Edit]) -> str | None:
    return as_json([{"text": one.text, "at": as_text(one.at)} for one in edits])


def _reactions(reactions: Sequence[records.Reaction]) -> str | None:
    return as_json([{**one._asdict(), "at": as_text(one.at)} for one in reactions])
