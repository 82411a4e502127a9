"""What the photos parser yields. Named tuples: fast, and arrays once they are MessagePack.

Field meanings: docs/formats.md, Photos. None stands for whatever the source does not say.
"""

from datetime import datetime
from typing import NamedTuple


class Album(NamedTuple):
    """One album or folder."""

    id: int
    uuid: str | None
    title: str | None
    kind: (
        str  # album, shared_album, import_session, project, conversation, duplicates, folder, other
    )
    parent_id: int | None  # the folder it is in
    trashed: bool
    asset_count: int


class PhotoPerson(NamedTuple):
    """Somebody whose face was found."""

    id: int
    name: str | None
    face_count: int


class Photo(NamedTuple):
    """One picture or video."""

    id: int  # Z_PK of the asset
    uuid: str
    filename: str | None
    directory: str | None  # "DCIM/100APPLE"
    kind: str  # photo, video
    subtype: str  # see `app.backups.parsers.photos.SUBTYPES`; animated, other
    raw_subtype: int | None
    taken_at: datetime | None
    time_zone_offset_seconds: int | None  # where it was taken
    time_zone: str | None
    added_at: datetime | None
    modified_at: datetime | None
    width: int | None
    height: int | None
    orientation: int | None  # EXIF, 1 to 8
    duration_seconds: float | None
    latitude: float | None
    longitude: float | None
    place: str | None  # in words
    favorite: bool
    hidden: bool
    trashed: bool  # in "Recently Deleted"
    trashed_at: datetime | None
    in_library: bool
    edited: bool
    burst_id: str | None
    albums: list[str]
    title: str | None
    caption: str | None
    keywords: list[str]
    people: list[str]
    original_filename: str | None
    uti: str | None
    camera: str | None
    origin: str  # own, shared_album, icloud, shared_link, shared_with_you, other
    file_id: str | None  # where a backup keeps it
    file_present: bool | None  # None where nobody could look
    live_video_file_id: str | None  # of the moving half of a live photo
    file_size_bytes: int | None
