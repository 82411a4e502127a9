"""Rows of the Notes app."""

from collections.abc import Sequence

from app.backups.item_models import BackupNote
from app.backups.parsers import note_records as records
from app.backups.rows.frames import About, Frames
from app.backups.rows.making import Columns, Maker, Written, spoken

FRAMES = Frames(About, records.Note)


class NoteMaker(Maker):
    """Makes rows of `BackupNote`."""

    def items(self, records_: Sequence[records.Note]) -> Written:
        """Notes."""
        columns = Columns(records.Note, self.time)
        rows = [(*self.stamp, *columns.row(one), _words(one)) for one in records_]
        return [(BackupNote, rows)]


def _words(note: records.Note) -> str | None:
    """Tags and links stand in the text already, mostly; what attachments say does not."""
    told = (text for one in note.attachments for text in (one.title, one.text, one.filename))
    return spoken(note.folder, note.tags, note.links, told)
