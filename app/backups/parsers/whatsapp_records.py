"""What the WhatsApp parser yields. Named tuples: fast, and arrays once they are MessagePack.

Field meanings: docs/formats.md, WhatsApp. Addresses ("JIDs") are raw; `Person` has the name and
number behind each. None stands for whatever the source does not say.
"""

from datetime import datetime
from typing import NamedTuple


class Person(NamedTuple):
    """Somebody's address, and what WhatsApp itself knows of them."""

    jid: str
    phone: str | None  # "+15551234", also of a LID that can be resolved
    name: str | None  # "~Ada" is what Ada calls herself


class Participant(NamedTuple):
    """Somebody in a chat."""

    jid: str
    is_admin: bool
    is_active: bool  # not: has left


class Chat(NamedTuple):
    """One chat."""

    id: int  # ZWACHATSESSION.Z_PK, what `Message.chat_id` names
    jid: str
    kind: str  # direct, group, broadcast, status, channel, community, other
    title: str | None
    participants: list[Participant]
    archived: bool
    hidden: bool
    removed: bool
    unread_count: int
    message_count: int  # messages whose `chat_id` this is
    last_message_at: datetime | None
    created_at: datetime | None  # of a group
    creator_jid: str | None


class Reaction(NamedTuple):
    """What somebody thinks of a message."""

    emoji: str
    sender_jid: str | None
    is_from_me: bool
    at: datetime | None


class Attachment(NamedTuple):
    """A file sent with a message."""

    filename: str | None
    mime_type: str | None
    size_bytes: int | None
    duration_seconds: int | None
    caption: str | None
    file_id: str | None  # where a backup keeps it; None where it was never downloaded
    file_present: bool | None  # None where nobody could look


class GroupEvent(NamedTuple):
    """Something that happened to the chat."""

    code: int | None  # ZGROUPEVENTTYPE; its values are nobody's public knowledge
    jid: str | None  # whom it happened to, or who did it
    title: str | None  # a new subject, or other words


class ContactCard(NamedTuple):
    """A contact sent as a message."""

    name: str | None
    vcard: str | None


class Message(NamedTuple):
    """One row of ZWAMESSAGE."""

    id: int  # ZWAMESSAGE.Z_PK
    stanza_id: str
    chat_id: int | None
    sent_at: datetime | None
    is_from_me: bool
    sender_jid: str | None  # None for one's own, and where nobody sent it
    kind: str  # see `app.backups.parsers.whatsapp.KINDS`
    raw_type: int | None
    text: str | None
    reply_to_stanza_id: str | None
    quoted_text: str | None
    starred: bool
    status: int | None
    forwards: int | None  # how often it was forwarded before
    latitude: float | None
    longitude: float | None
    place: str | None  # the name of a location
    event: GroupEvent | None
    contact: ContactCard | None
    reactions: list[Reaction]
    attachments: list[Attachment]
