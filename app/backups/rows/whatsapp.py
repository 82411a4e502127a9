"""Rows of WhatsApp.

Names, best first: the address book, by the number behind an id; what WhatsApp itself knows; the
number. The `people` of the head say which number and name belong to which id.
"""

from collections.abc import Sequence
from typing import Any

from app.backups.items.whatsapp import WhatsAppAttachment, WhatsAppChat, WhatsAppMessage
from app.backups.parsers import whatsapp_records as records
from app.backups.rows.frames import About, Frames
from app.backups.rows.making import Maker, Rows, Written, as_json, as_text, spoken


class AboutWhatsApp(About):
    """What is known before the first message is read."""

    chats: list[records.Chat]
    people: list[records.Person]


class WhatsAppMaker(Maker):
    """Makes rows of `WhatsAppChat`, `WhatsAppMessage` and `WhatsAppAttachment`."""

    frames = Frames(AboutWhatsApp, list[records.Message])
    names: dict[str, str | None]

    def head(self, about: AboutWhatsApp) -> Written:
        """The chats; and from here on it is known who is who."""
        self.names = {one.jid: self._name(one) for one in about.people}
        return [(WhatsAppChat, [self._chat(one) for one in about.chats])]

    def _name(self, person: records.Person) -> str | None:
        found = self.directory.name(person.phone) or self.directory.name(person.jid)
        return found or person.name or person.phone

    def _chat(self, chat: records.Chat) -> tuple[Any, ...]:
        direct = chat.kind == "direct"
        title = (self._in_contacts(chat.jid) if direct else None) or chat.title
        people = [
            (jid, self.names.get(jid), admin, active) for jid, admin, active in chat.participants
        ]
        return (
            *self.stamp, chat.id, chat.jid, chat.kind, title or self.names.get(chat.jid),
            as_json(people), chat.archived, chat.hidden, chat.removed, chat.unread_count,
            chat.message_count, self.time(chat.last_message_at), self.time(chat.created_at),
            chat.creator_jid,
        )  # fmt: skip

    def _in_contacts(self, jid: str) -> str | None:
        return self.directory.name(jid)

    def items(self, records_: Sequence[records.Message]) -> Written:
        """Messages, and the files that belong to them."""
        (backup, generation), time, names = self.stamp, self.time, self.names
        messages: Rows = []
        files: Rows = []
        for one in records_:
            (
                number, stanza, chat, sent_at, mine, sender, kind, raw_type, text, reply, quoted,
                starred, status, forwards, latitude, longitude, place, event, contact, reactions,
                attachments,
            ) = one  # fmt: skip
            told = place or contact or attachments
            messages.append((
                backup, generation, number, stanza, chat, time(sent_at), mine, sender, kind,
                raw_type, text, reply, quoted, starred, status, forwards, latitude, longitude, place,
                as_json(event), as_json(contact), _reactions(reactions) if reactions else None,
                None if sender is None else names.get(sender), _words(one) if told else None,
            ))  # fmt: skip
            files += [
                (backup, generation, number, place_, *file)
                for place_, file in enumerate(attachments)
            ]
        return [(WhatsAppMessage, messages), (WhatsAppAttachment, files)]


def _words(message: records.Message) -> str | None:
    contact = message.contact
    shown = [text for file in message.attachments for text in (file.caption, file.filename)]
    return spoken(shown, message.place, None if contact is None else contact[0])


def _reactions(reactions: Sequence[Sequence[Any]]) -> str | None:
    return as_json([
        {"emoji": emoji, "sender_jid": sender, "is_from_me": mine, "at": as_text(at)}
        for emoji, sender, mine, at in reactions
    ])  # fmt: skip
