"""The table of the Notes app. See `base`."""

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from app.backups.items.base import Item, Listed, MaybeText, MaybeTime
from app.core.columns import Json, UtcDateTime


class BackupNote(Item):
    """A note of the Notes app; `number` is Z_PK of the note."""

    __tablename__ = "backup_notes"

    identifier: Mapped[str] = mapped_column(Text)
    title: MaybeText = mapped_column(Text)
    text: MaybeText = mapped_column(Text)
    snippet: MaybeText = mapped_column(Text)
    folder: MaybeText = mapped_column(Text)
    account: MaybeText = mapped_column(Text)
    created_at: MaybeTime = mapped_column(UtcDateTime)
    modified_at: MaybeTime = mapped_column(UtcDateTime)
    pinned: Mapped[bool]
    locked: Mapped[bool]
    trashed: Mapped[bool]
    tombstone: Mapped[bool]
    shared: Mapped[bool]
    has_checklist: Mapped[bool]
    tags: Listed = mapped_column(Json)
    links: Listed = mapped_column(Json)
    attachments: Listed = mapped_column(Json)
    is_legacy: Mapped[bool]
    words: MaybeText = mapped_column(Text)

    __table_args__ = ({"sqlite_with_rowid": False},)
