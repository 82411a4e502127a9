"""What the messages parser yields. Named tuples: fast, and arrays once they are MessagePack.

Field meanings: docs/formats.md. Times are aware UTC datetimes; None stands for
whatever the source does not say. Handles are raw (a phone number, an e-mail address, a business
id); names are resolved elsewhere, from the contacts.
"""

from datetime import datetime
from typing import NamedTuple


class Conversation(NamedTuple):
    """One chat of the Messages app."""

    id: int  # chat.ROWID, what `Message.conversation_id` names
    guid: str
    service: str | None
    is_group: bool
    title: str | None
    participants: list[str]  # handles, in the order of joining
    message_count: int  # messages whose `conversation_id` this is; reactions are not messages
    last_message_at: datetime | None
    person_key: str | None  # equal for the chats one person has over several services; None: group


class Reaction(NamedTuple):
    """What somebody last thought of a message."""

    kind: str  # love, like, dislike, laugh, emphasise, question, emoji, sticker, other
    emoji: str | None  # only with kind "emoji"
    sender: str | None
    is_from_me: bool
    at: datetime | None


class Edit(NamedTuple):
    """One wording of an edited message. The first is the original, the last the current one."""

    text: str
    at: datetime | None


class GroupEvent(NamedTuple):
    """What happened, for the kinds group_event, location_share, audio_kept and shareplay."""

    what: str  # participant_added, group_renamed, icon_changed, location_started ...
    handle: str | None  # whom it happened to
    title: str | None  # the new name of the group


class LinkPreview(NamedTuple):
    """What the phone fetched to draw the card under a link."""

    url: str | None
    title: str | None
    summary: str | None


class Attachment(NamedTuple):
    """A file sent with a message."""

    guid: str | None
    filename: str | None  # as shown to people
    mime_type: str | None
    size_bytes: int | None
    file_id: str | None  # where a backup keeps it; None where it does not (a Mac's database)
    file_present: bool | None  # None where nobody could look
    is_sticker: bool


class Message(NamedTuple):
    """One row of `message` that is not a reaction."""

    id: int  # message.ROWID
    guid: str
    conversation_id: int | None
    sent_at: datetime | None
    is_from_me: bool
    sender: str | None  # for one's own messages the number or address they were sent from
    service: str | None
    kind: str  # see `app.backups.parsers.messages.KINDS`
    text: str | None  # U+FFFC where an attachment stands; None where nothing else is in it
    subject: str | None
    reply_to_guid: str | None
    edited_at: datetime | None
    edits: list[Edit]
    unsent: bool
    deleted_at: datetime | None  # set: in "Recently Deleted"
    effect: str | None
    error_code: int | None  # set: sending failed
    reactions: list[Reaction]
    attachments: list[Attachment]  # in the order of the parts of the message
    event: GroupEvent | None
    link: LinkPreview | None
