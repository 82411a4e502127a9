"""Rows of the Messages app.

Here 100,000 records pass a second, so everything is positional and nothing is an object: the
records are plain arrays in the order of `parsers.message_records`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from app.backups.items.messages import Message, MessageAttachment, MessageConversation
from app.backups.rows.frames import About, Frames
from app.backups.rows.making import Maker, Rows, Written, as_json, spoken, wired

Time = datetime | None
Text = str | None
# Tuples, because most are empty: there is one empty tuple, and every empty list is another one.
Reactions = tuple[tuple[str, Text, Text, bool, Time], ...]
Files = tuple[tuple[Text, Text, Text, int | None, Text, bool | None, bool], ...]
ConversationRecord = tuple[int, str, Text, bool, Text, list[str], int, Time, Text]
MessageRecord = tuple[
    int, str, int | None, Time, bool, Text, Text, str, Text, Text, Text, Time,
    tuple[tuple[str, Time], ...], bool, Time, Text, int | None, Reactions, Files,
    tuple[str, Text, Text] | None, tuple[Text, Text, Text] | None,
]  # fmt: skip

_NAMED = 4  # people of a group without a title that its label names


class AboutMessages(About):
    """What is known before the first message is read."""

    conversations: list[ConversationRecord]


class MessageMaker(Maker):
    """Makes rows of `MessageConversation`, `Message` and `MessageAttachment`."""

    frames = Frames(AboutMessages, MessageRecord)

    def head(self, about: AboutMessages) -> Written:
        """The chats."""
        rows = [self._conversation(record) for record in about.conversations]
        return [(MessageConversation, rows)]

    def _conversation(self, record: ConversationRecord) -> tuple[Any, ...]:
        number, guid, service, group, title, people, count, last, person = record
        known = [(handle, self.directory.name(handle)) for handle in people]
        return (
            *self.stamp, number, guid, service, group, title, as_json(known), count,
            self.time(last), person, title or label(known),
        )  # fmt: skip

    def items(self, records: Sequence[MessageRecord]) -> Written:
        """Messages, and the files that belong to them."""
        (backup, generation), time, name = self.stamp, self.time, self.directory.name
        messages: Rows = []
        attachments: Rows = []
        for (
            number, guid, conversation, sent_at, is_from_me, sender, service, kind, text, subject,
            reply_to, edited_at, edits, unsent, deleted_at, effect, error, reactions, files,
            event, link,
        ) in records:  # fmt: skip
            messages.append((
                backup, generation, number, guid, conversation, time(sent_at), is_from_me, sender,
                service, kind, text, subject, reply_to,
                None if edited_at is None else time(edited_at), _edits(edits) if edits else None,
                unsent, None if deleted_at is None else time(deleted_at), effect, error,
                _reactions(reactions) if reactions else None,
                as_json(event) if event else None, as_json(link) if link else None,
                None if sender is None else name(sender),
                _words(files, link) if files or link else None,
            ))  # fmt: skip
            if files:
                attachments += [
                    (backup, generation, number, position, *one)
                    for position, one in enumerate(files)
                ]
        return [(Message, messages), (MessageAttachment, attachments)]


def label(people: Sequence[tuple[str, str | None]]) -> str | None:
    """What to call a chat without a title: who is in it."""
    names = [name or handle for handle, name in people[:_NAMED]]
    more = ["…"] if len(people) > _NAMED else []
    return ", ".join(names + more) or None


def _words(files: Files, link: tuple[Text, Text, Text] | None) -> str | None:
    return spoken((file[1] for file in files), link or ())


def _edits(edits: Iterable[Sequence[Any]]) -> str | None:
    return as_json([{"text": text, "at": wired(at)} for text, at in edits])


def _reactions(reactions: Iterable[Sequence[Any]]) -> str | None:
    return as_json([
        {"kind": kind, "emoji": emoji, "sender": sender, "is_from_me": mine, "at": wired(at)}
        for kind, emoji, sender, mine, at in reactions
    ])  # fmt: skip
