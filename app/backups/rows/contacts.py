"""Rows of the address book."""

from app.backups.items.contacts import Contact
from app.backups.parsers import contact_records as records
from app.backups.rows.frames import About, Frames
from app.backups.rows.making import RecordMaker, spoken


class ContactMaker(RecordMaker):
    """Makes rows of `Contact`."""

    frames = Frames(About, list[records.Contact])
    model, record = Contact, records.Contact

    @staticmethod
    def words(record: records.Contact) -> str | None:
        """Everything by which somebody looks for a person."""
        return spoken(
            (record.nickname, record.organization, record.department, record.job_title),
            (one.value for one in (*record.phones, *record.emails, *record.urls, *record.related)),
            (
                part
                for one in record.addresses
                for part in (one.street, one.city, one.zip, one.country)
            ),
            (one.username or one.url for one in record.social),
            record.groups,
            record.note,
        )
