"""Rows of the photo library."""

from collections.abc import Sequence

from app.backups.item_models import PhotoAsset
from app.backups.parsers import photo_records as records
from app.backups.rows.frames import About, Frames
from app.backups.rows.making import Columns, Maker, Written, spoken

FRAMES = Frames(About, records.Photo)


class PhotoMaker(Maker):
    """Makes rows of `PhotoAsset`."""

    def items(self, records_: Sequence[records.Photo]) -> Written:
        """Photos and videos."""
        columns = Columns(records.Photo, self.time)
        rows = [(*self.stamp, *columns.row(one), _words(one)) for one in records_]
        return [(PhotoAsset, rows)]


def _words(photo: records.Photo) -> str | None:
    return spoken(
        photo.caption,
        photo.place,
        photo.people,
        photo.albums,
        photo.keywords,
        (photo.original_filename, photo.camera),
    )
