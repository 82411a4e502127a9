"""The table of the photo library. See `base`."""

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.backups.items.base import Item, Listed, MaybeText, MaybeTime, list_index
from app.core.columns import Json, UtcDateTime


class PhotoAsset(Item):
    """A photo or video; `number` is Z_PK of the asset."""

    __tablename__ = "photo_assets"

    uuid: Mapped[str] = mapped_column(Text)
    filename: MaybeText = mapped_column(Text)
    directory: MaybeText = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(32))
    subtype: Mapped[str] = mapped_column(String(32))
    raw_subtype: Mapped[int | None] = mapped_column(BigInteger)
    taken_at: MaybeTime = mapped_column(UtcDateTime)
    time_zone_offset_seconds: Mapped[int | None] = mapped_column(BigInteger)
    time_zone: MaybeText = mapped_column(Text)
    added_at: MaybeTime = mapped_column(UtcDateTime)
    modified_at: MaybeTime = mapped_column(UtcDateTime)
    width: Mapped[int | None] = mapped_column(BigInteger)
    height: Mapped[int | None] = mapped_column(BigInteger)
    orientation: Mapped[int | None] = mapped_column(BigInteger)
    duration_seconds: Mapped[float | None]
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    place: MaybeText = mapped_column(Text)
    favorite: Mapped[bool]
    hidden: Mapped[bool]
    trashed: Mapped[bool]
    trashed_at: MaybeTime = mapped_column(UtcDateTime)
    in_library: Mapped[bool]
    edited: Mapped[bool]
    burst_id: MaybeText = mapped_column(Text)
    albums: Listed = mapped_column(Json)
    title: MaybeText = mapped_column(Text)
    caption: MaybeText = mapped_column(Text)
    keywords: Listed = mapped_column(Json)
    people: Listed = mapped_column(Json)
    original_filename: MaybeText = mapped_column(Text)
    uti: MaybeText = mapped_column(Text)
    camera: MaybeText = mapped_column(Text)
    origin: Mapped[str] = mapped_column(Text)
    file_id: Mapped[str | None] = mapped_column(String(40))
    file_present: Mapped[bool | None]
    live_video_file_id: Mapped[str | None] = mapped_column(String(40))
    file_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    words: MaybeText = mapped_column(Text)

    __table_args__ = (list_index("photo_assets", "taken_at"), {"sqlite_with_rowid": False})
