"""The tables of the Messages app. See `base`."""

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.backups.items.base import File, Item, Listed, MaybeListed, MaybeText, MaybeTime, list_index
from app.core.columns import Json, UtcDateTime


class MessageConversation(Item):
    """A chat of the Messages app; `number` is chat.ROWID."""

    __tablename__ = "message_conversations"

    guid: Mapped[str] = mapped_column(Text)
    service: MaybeText = mapped_column(Text)
    is_group: Mapped[bool]
    title: MaybeText = mapped_column(Text)
    participants: Listed = mapped_column(Json)  # [handle, name]
    message_count: Mapped[int] = mapped_column(BigInteger)
    last_message_at: MaybeTime = mapped_column(UtcDateTime)
    person_key: MaybeText = mapped_column(Text)  # equal for one person's several services
    label: MaybeText = mapped_column(Text)  # what to call it: its title, or who is in it

    # Chats are few: sorting those of one backup costs less than an index of their times.
    __table_args__ = ({"sqlite_with_rowid": False},)


class Message(Item):
    """A message that is no reaction; reactions are folded onto what they react to."""

    __tablename__ = "messages"

    guid: Mapped[str] = mapped_column(Text)
    conversation: Mapped[int | None] = mapped_column(BigInteger)  # MessageConversation.number
    sent_at: MaybeTime = mapped_column(UtcDateTime)
    is_from_me: Mapped[bool]
    sender: MaybeText = mapped_column(Text)
    service: MaybeText = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(32))
    text: MaybeText = mapped_column(Text)
    subject: MaybeText = mapped_column(Text)
    reply_to_guid: MaybeText = mapped_column(Text)
    edited_at: MaybeTime = mapped_column(UtcDateTime)
    edits: MaybeListed = mapped_column(Json)  # {text, at}; None: never edited
    unsent: Mapped[bool]
    deleted_at: MaybeTime = mapped_column(UtcDateTime)
    effect: MaybeText = mapped_column(Text)
    error_code: Mapped[int | None] = mapped_column(BigInteger)
    reactions: MaybeListed = mapped_column(Json)  # {kind, emoji, sender, is_from_me, at}
    event: MaybeListed = mapped_column(Json)  # [what, handle, title]
    link: MaybeListed = mapped_column(Json)  # [url, title, summary]
    sender_name: MaybeText = mapped_column(Text)
    words: MaybeText = mapped_column(Text)

    __table_args__ = (
        list_index("messages", "sent_at"),
        list_index("messages", "conversation", "sent_at", name="conversation"),
        {"sqlite_with_rowid": False},
    )


class MessageAttachment(File):
    """A file sent with a message."""

    __tablename__ = "message_attachments"

    guid: MaybeText = mapped_column(Text)
    filename: MaybeText = mapped_column(Text)
    mime_type: MaybeText = mapped_column(Text)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    file_id: Mapped[str | None] = mapped_column(String(40))
    file_present: Mapped[bool | None]
    is_sticker: Mapped[bool]

    __table_args__ = ({"sqlite_with_rowid": False},)
