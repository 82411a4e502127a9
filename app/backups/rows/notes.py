"""Rows of the Notes app."""

from app.backups.items.notes import BackupNote
from app.backups.parsers import note_records as records
from app.backups.rows.frames import About, Frames
from app.backups.rows.making import RecordMaker, spoken


class NoteMaker(RecordMaker):
    """Makes rows of `BackupNote`."""

    frames = Frames(About, list[records.Note])
    model, record = BackupNote, records.Note

    @staticmethod
    def words(record: records.Note) -> str | None:
        """Tags and links stand in the text already, mostly; what attachments say does not."""
        told = (text for one in record.attachments for text in (one.title, one.text, one.filename))
        return spoken(record.folder, record.tags, record.links, told)
