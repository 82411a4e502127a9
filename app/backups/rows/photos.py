"""Rows of the photo library."""

from app.backups.items.photos import PhotoAsset
from app.backups.parsers import photo_records as records
from app.backups.rows.frames import About, Frames
from app.backups.rows.making import RecordMaker, spoken


class PhotoMaker(RecordMaker):
    """Makes rows of `PhotoAsset`."""

    frames = Frames(About, list[records.Photo])
    model, record = PhotoAsset, records.Photo

    @staticmethod
    def words(record: records.Photo) -> str | None:
        """Where it was taken, who is on it, and what somebody wrote on it."""
        return spoken(
            record.caption,
            record.place,
            record.people,
            record.albums,
            record.keywords,
            (record.original_filename, record.camera),
        )
