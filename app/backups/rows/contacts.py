"""Rows of the address book."""

from collections.abc import Sequence

from app.backups.item_models import Contact
from app.backups.parsers import contact_records as records
from app.backups.rows.frames import About, Frames
from app.backups.rows.making import Columns, Maker, Written, spoken

FRAMES = Frames(About, records.Contact)


class ContactMaker(Maker):
    """Makes rows of `Contact`."""

    def items(self, records_: Sequence[records.Contact]) -> Written:
        """Cards."""
        columns = Columns(records.Contact, self.time)
        rows = [(*self.stamp, *columns.row(one), _words(one)) for one in records_]
        return [(Contact, rows)]


def _words(card: records.Contact) -> str | None:
    return spoken(
        (card.nickname, card.organization, card.department, card.job_title),
        (one.value for one in (*card.phones, *card.emails, *card.urls, *card.related)),
        (part for one in card.addresses for part in (one.street, one.city, one.zip, one.country)),
        (one.username or one.url for one in card.social),
        card.groups,
        card.note,
    )
