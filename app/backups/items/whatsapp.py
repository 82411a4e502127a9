"""The tables of WhatsApp. See `base`."""

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.backups.items.base import File, Item, Listed, MaybeListed, MaybeText, MaybeTime, list_index
from app.core.columns import Json, UtcDateTime


class WhatsAppChat(Item):
    """A chat of WhatsApp; `number` is ZWACHATSESSION.Z_PK."""

    __tablename__ = "whatsapp_chats"

    jid: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(32))
    title: MaybeText = mapped_column(Text)
    participants: Listed = mapped_column(Json)  # [jid, name, is_admin, is_active]
    archived: Mapped[bool]
    hidden: Mapped[bool]
    removed: Mapped[bool]
    unread_count: Mapped[int] = mapped_column(BigInteger)
    message_count: Mapped[int] = mapped_column(BigInteger)
    last_message_at: MaybeTime = mapped_column(UtcDateTime)
    created_at: MaybeTime = mapped_column(UtcDateTime)
    creator_jid: MaybeText = mapped_column(Text)

    __table_args__ = ({"sqlite_with_rowid": False},)


class WhatsAppMessage(Item):
    """A message of WhatsApp; `number` is ZWAMESSAGE.Z_PK."""

    __tablename__ = "whatsapp_messages"

    stanza_id: Mapped[str] = mapped_column(Text)
    chat: Mapped[int | None] = mapped_column(BigInteger)  # WhatsAppChat.number
    sent_at: MaybeTime = mapped_column(UtcDateTime)
    is_from_me: Mapped[bool]
    sender_jid: MaybeText = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(32))
    raw_type: Mapped[int | None] = mapped_column(BigInteger)
    text: MaybeText = mapped_column(Text)
    reply_to_stanza_id: MaybeText = mapped_column(Text)
    quoted_text: MaybeText = mapped_column(Text)
    starred: Mapped[bool]
    status: Mapped[int | None] = mapped_column(BigInteger)
    forwards: Mapped[int | None] = mapped_column(BigInteger)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    place: MaybeText = mapped_column(Text)
    event: MaybeListed = mapped_column(Json)  # [code, jid, title]
    contact: MaybeListed = mapped_column(Json)  # [name, vcard]
    reactions: MaybeListed = mapped_column(Json)  # {emoji, sender_jid, is_from_me, at}
    sender_name: MaybeText = mapped_column(Text)
    words: MaybeText = mapped_column(Text)

    __table_args__ = (
        list_index("whatsapp_messages", "sent_at"),
        list_index("whatsapp_messages", "chat", "sent_at", name="chat"),
        {"sqlite_with_rowid": False},
    )


class WhatsAppAttachment(File):
    """A file sent with a message of WhatsApp."""

    __tablename__ = "whatsapp_attachments"

    filename: MaybeText = mapped_column(Text)
    mime_type: MaybeText = mapped_column(Text)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    duration_seconds: Mapped[int | None] = mapped_column(BigInteger)
    caption: MaybeText = mapped_column(Text)
    file_id: Mapped[str | None] = mapped_column(String(40))
    file_present: Mapped[bool | None]

    __table_args__ = ({"sqlite_with_rowid": False},)
