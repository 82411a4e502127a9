"""The tables of what is indexed from a backup.

A row is there for readers only through its backup's pointer (`BackupArtifact.live_generation`),
so these tables need no foreign keys: rows that no pointer leads to are dead, and are removed in
batches. `number` is the key of the source (`ROWID`, `Z_PK`), which the parser promises to give
once each. Lists are JSON arrays of arrays, in the order of the parsers' records.

Columns stand in the order in which the row makers write them (`rows`), `words` last: what
search finds an item by besides its own texts.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.columns import Id, Json, UtcDateTime
from app.core.db import Base

_List = Mapped[list[Any]]
_MaybeList = Mapped[list[Any] | None]
_Text = Mapped[str | None]
_Time = Mapped[datetime | None]


def _list_index(table: str, *columns: str, name: str = "list") -> Index:
    return Index(f"ix_{table}_{name}", "backup_id", "generation", *columns, "number")


class Item(Base):
    """Something that was indexed from a backup."""

    __abstract__ = True

    backup_id: Mapped[UUID] = mapped_column(Id, primary_key=True, sort_order=-9)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True, sort_order=-9)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, sort_order=-9)


class File(Base):
    """A file sent with a message."""

    __abstract__ = True

    backup_id: Mapped[UUID] = mapped_column(Id, primary_key=True, sort_order=-9)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True, sort_order=-9)
    message: Mapped[int] = mapped_column(BigInteger, primary_key=True, sort_order=-9)  # its number
    position: Mapped[int] = mapped_column(
        Integer, primary_key=True, sort_order=-9
    )  # in the message, from 0


Table = type[Item] | type[File]


class MessageConversation(Item):
    """A chat of the Messages app; `number` is chat.ROWID."""

    __tablename__ = "message_conversations"

    guid: Mapped[str] = mapped_column(Text)
    service: _Text = mapped_column(Text)
    is_group: Mapped[bool]
    title: _Text = mapped_column(Text)
    participants: _List = mapped_column(Json)  # [handle, name]
    message_count: Mapped[int] = mapped_column(BigInteger)
    last_message_at: _Time = mapped_column(UtcDateTime)
    person_key: _Text = mapped_column(Text)  # equal for one person's several services
    label: _Text = mapped_column(Text)  # what to call it: its title, or who is in it

    # Chats are few: sorting those of one backup costs less than an index of their times.
    __table_args__ = ({"sqlite_with_rowid": False},)


class Message(Item):
    """A message that is no reaction; reactions are folded onto what they react to."""

    __tablename__ = "messages"

    guid: Mapped[str] = mapped_column(Text)
    conversation: Mapped[int | None] = mapped_column(BigInteger)  # MessageConversation.number
    sent_at: _Time = mapped_column(UtcDateTime)
    is_from_me: Mapped[bool]
    sender: _Text = mapped_column(Text)
    service: _Text = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(32))
    text: _Text = mapped_column(Text)
    subject: _Text = mapped_column(Text)
    reply_to_guid: _Text = mapped_column(Text)
    edited_at: _Time = mapped_column(UtcDateTime)
    edits: _MaybeList = mapped_column(Json)  # {text, at}; None: never edited
    unsent: Mapped[bool]
    deleted_at: _Time = mapped_column(UtcDateTime)
    effect: _Text = mapped_column(Text)
    error_code: Mapped[int | None] = mapped_column(BigInteger)
    reactions: _MaybeList = mapped_column(Json)  # {kind, emoji, sender, is_from_me, at}
    event: _MaybeList = mapped_column(Json)  # [what, handle, title]
    link: _MaybeList = mapped_column(Json)  # [url, title, summary]
    sender_name: _Text = mapped_column(Text)
    words: _Text = mapped_column(Text)

    __table_args__ = (
        _list_index("messages", "sent_at"),
        _list_index("messages", "conversation", "sent_at", name="conversation"),
        {"sqlite_with_rowid": False},
    )


class MessageAttachment(File):
    """A file sent with a message."""

    __tablename__ = "message_attachments"

    guid: _Text = mapped_column(Text)
    filename: _Text = mapped_column(Text)
    mime_type: _Text = mapped_column(Text)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    file_id: Mapped[str | None] = mapped_column(String(40))
    file_present: Mapped[bool | None]
    is_sticker: Mapped[bool]

    __table_args__ = ({"sqlite_with_rowid": False},)


class WhatsAppChat(Item):
    """A chat of WhatsApp; `number` is ZWACHATSESSION.Z_PK."""

    __tablename__ = "whatsapp_chats"

    jid: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(32))
    title: _Text = mapped_column(Text)
    participants: _List = mapped_column(Json)  # [jid, name, is_admin, is_active]
    archived: Mapped[bool]
    hidden: Mapped[bool]
    removed: Mapped[bool]
    unread_count: Mapped[int] = mapped_column(BigInteger)
    message_count: Mapped[int] = mapped_column(BigInteger)
    last_message_at: _Time = mapped_column(UtcDateTime)
    created_at: _Time = mapped_column(UtcDateTime)
    creator_jid: _Text = mapped_column(Text)

    __table_args__ = ({"sqlite_with_rowid": False},)


class WhatsAppMessage(Item):
    """A message of WhatsApp; `number` is ZWAMESSAGE.Z_PK."""

    __tablename__ = "whatsapp_messages"

    stanza_id: Mapped[str] = mapped_column(Text)
    chat: Mapped[int | None] = mapped_column(BigInteger)  # WhatsAppChat.number
    sent_at: _Time = mapped_column(UtcDateTime)
    is_from_me: Mapped[bool]
    sender_jid: _Text = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(32))
    raw_type: Mapped[int | None] = mapped_column(BigInteger)
    text: _Text = mapped_column(Text)
    reply_to_stanza_id: _Text = mapped_column(Text)
    quoted_text: _Text = mapped_column(Text)
    starred: Mapped[bool]
    status: Mapped[int | None] = mapped_column(BigInteger)
    forwards: Mapped[int | None] = mapped_column(BigInteger)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    place: _Text = mapped_column(Text)
    event: _MaybeList = mapped_column(Json)  # [code, jid, title]
    contact: _MaybeList = mapped_column(Json)  # [name, vcard]
    reactions: _MaybeList = mapped_column(Json)  # {emoji, sender_jid, is_from_me, at}
    sender_name: _Text = mapped_column(Text)
    words: _Text = mapped_column(Text)

    __table_args__ = (
        _list_index("whatsapp_messages", "sent_at"),
        _list_index("whatsapp_messages", "chat", "sent_at", name="chat"),
        {"sqlite_with_rowid": False},
    )


class WhatsAppAttachment(File):
    """A file sent with a message of WhatsApp."""

    __tablename__ = "whatsapp_attachments"

    filename: _Text = mapped_column(Text)
    mime_type: _Text = mapped_column(Text)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    duration_seconds: Mapped[int | None] = mapped_column(BigInteger)
    caption: _Text = mapped_column(Text)
    file_id: Mapped[str | None] = mapped_column(String(40))
    file_present: Mapped[bool | None]

    __table_args__ = ({"sqlite_with_rowid": False},)


class PhotoAsset(Item):
    """A photo or video; `number` is Z_PK of the asset."""

    __tablename__ = "photo_assets"

    uuid: Mapped[str] = mapped_column(Text)
    filename: _Text = mapped_column(Text)
    directory: _Text = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(32))
    subtype: Mapped[str] = mapped_column(String(32))
    raw_subtype: Mapped[int | None] = mapped_column(BigInteger)
    taken_at: _Time = mapped_column(UtcDateTime)
    time_zone_offset_seconds: Mapped[int | None] = mapped_column(BigInteger)
    time_zone: _Text = mapped_column(Text)
    added_at: _Time = mapped_column(UtcDateTime)
    modified_at: _Time = mapped_column(UtcDateTime)
    width: Mapped[int | None] = mapped_column(BigInteger)
    height: Mapped[int | None] = mapped_column(BigInteger)
    orientation: Mapped[int | None] = mapped_column(BigInteger)
    duration_seconds: Mapped[float | None]
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    place: _Text = mapped_column(Text)
    favorite: Mapped[bool]
    hidden: Mapped[bool]
    trashed: Mapped[bool]
    trashed_at: _Time = mapped_column(UtcDateTime)
    in_library: Mapped[bool]
    edited: Mapped[bool]
    burst_id: _Text = mapped_column(Text)
    albums: _List = mapped_column(Json)
    title: _Text = mapped_column(Text)
    caption: _Text = mapped_column(Text)
    keywords: _List = mapped_column(Json)
    people: _List = mapped_column(Json)
    original_filename: _Text = mapped_column(Text)
    uti: _Text = mapped_column(Text)
    camera: _Text = mapped_column(Text)
    origin: Mapped[str] = mapped_column(Text)
    file_id: Mapped[str | None] = mapped_column(String(40))
    file_present: Mapped[bool | None]
    live_video_file_id: Mapped[str | None] = mapped_column(String(40))
    file_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    words: _Text = mapped_column(Text)

    __table_args__ = (_list_index("photo_assets", "taken_at"), {"sqlite_with_rowid": False})


class BackupNote(Item):
    """A note of the Notes app; `number` is Z_PK of the note."""

    __tablename__ = "backup_notes"

    identifier: Mapped[str] = mapped_column(Text)
    title: _Text = mapped_column(Text)
    text: _Text = mapped_column(Text)
    snippet: _Text = mapped_column(Text)
    folder: _Text = mapped_column(Text)
    account: _Text = mapped_column(Text)
    created_at: _Time = mapped_column(UtcDateTime)
    modified_at: _Time = mapped_column(UtcDateTime)
    pinned: Mapped[bool]
    locked: Mapped[bool]
    trashed: Mapped[bool]
    tombstone: Mapped[bool]
    shared: Mapped[bool]
    has_checklist: Mapped[bool]
    tags: _List = mapped_column(Json)
    links: _List = mapped_column(Json)
    attachments: _List = mapped_column(Json)
    is_legacy: Mapped[bool]
    words: _Text = mapped_column(Text)

    __table_args__ = ({"sqlite_with_rowid": False},)


class CalendarSheet(Item):
    """A calendar; `number` is Calendar.ROWID."""

    __tablename__ = "calendars"

    uuid: _Text = mapped_column(Text)
    title: _Text = mapped_column(Text)
    color: _Text = mapped_column(Text)
    source: _Text = mapped_column(Text)
    source_type: Mapped[str] = mapped_column(String(32))
    hidden: Mapped[bool]
    shared: Mapped[bool]

    __table_args__ = ({"sqlite_with_rowid": False},)


class CalendarEvent(Item):
    """An event or reminder; `number` is CalendarItem.ROWID."""

    __tablename__ = "calendar_events"

    uid: _Text = mapped_column(Text)
    uuid: _Text = mapped_column(Text)
    calendar: Mapped[int | None] = mapped_column(BigInteger)  # CalendarSheet.number
    kind: Mapped[str] = mapped_column(String(32))
    title: _Text = mapped_column(Text)
    description: _Text = mapped_column(Text)
    location: _Text = mapped_column(Text)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    starts_at: _Time = mapped_column(UtcDateTime)  # floating: the wall clock, read as if UTC
    ends_at: _Time = mapped_column(UtcDateTime)
    all_day: Mapped[bool]
    floating: Mapped[bool]
    time_zone: _Text = mapped_column(Text)
    status: _Text = mapped_column(Text)
    rrule: _Text = mapped_column(Text)
    exdates: _List = mapped_column(Json)
    recurrence_id: _Time = mapped_column(UtcDateTime)
    recurs_from: Mapped[int | None] = mapped_column(BigInteger)
    url: _Text = mapped_column(Text)
    conference_url: _Text = mapped_column(Text)
    organizer: _MaybeList = mapped_column(Json)  # [name, email]
    attendees: _List = mapped_column(Json)  # [name, email, status]
    alarms: _List = mapped_column(Json)  # [offset_seconds, at]
    is_birthday: Mapped[bool]
    birth_year_known: Mapped[bool]
    hidden: Mapped[bool]
    availability: Mapped[int | None] = mapped_column(BigInteger)
    created_at: _Time = mapped_column(UtcDateTime)
    modified_at: _Time = mapped_column(UtcDateTime)
    words: _Text = mapped_column(Text)

    __table_args__ = (_list_index("calendar_events", "starts_at"), {"sqlite_with_rowid": False})


class Contact(Item):
    """A card of the address book; `number` is ABPerson.ROWID."""

    __tablename__ = "contacts"

    guid: Mapped[str] = mapped_column(Text)
    display_name: _Text = mapped_column(Text)
    first_name: _Text = mapped_column(Text)
    last_name: _Text = mapped_column(Text)
    middle_name: _Text = mapped_column(Text)
    prefix: _Text = mapped_column(Text)
    suffix: _Text = mapped_column(Text)
    nickname: _Text = mapped_column(Text)
    organization: _Text = mapped_column(Text)
    department: _Text = mapped_column(Text)
    job_title: _Text = mapped_column(Text)
    is_company: Mapped[bool]
    birthday: _Text = mapped_column(Text)
    note: _Text = mapped_column(Text)
    phones: _List = mapped_column(Json)  # [label, value]
    emails: _List = mapped_column(Json)  # [label, value]
    addresses: _List = mapped_column(Json)
    urls: _List = mapped_column(Json)  # [label, value]
    social: _List = mapped_column(Json)
    related: _List = mapped_column(Json)  # [label, value]
    dates: _List = mapped_column(Json)  # [label, date]
    groups: _List = mapped_column(Json)
    source: _Text = mapped_column(Text)
    linked_ids: _List = mapped_column(Json)  # numbers of the other cards of this person
    has_image: Mapped[bool]
    created_at: _Time = mapped_column(UtcDateTime)
    modified_at: _Time = mapped_column(UtcDateTime)
    words: _Text = mapped_column(Text)

    __table_args__ = ({"sqlite_with_rowid": False},)
