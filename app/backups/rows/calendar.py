"""Rows of the calendar."""

from collections.abc import Sequence
from typing import Any

from app.backups.items.calendar import CalendarEvent, CalendarSheet
from app.backups.parsers import calendar_records as records
from app.backups.rows.frames import About, Frames
from app.backups.rows.making import RecordMaker, Written, as_json, as_text, spoken


class AboutCalendar(About):
    """What is known before the first event is read."""

    calendars: list[records.CalendarInfo]


def _times(moments: Sequence[Any]) -> str | None:
    return as_json([as_text(moment) for moment in moments])


def _alarms(alarms: Sequence[Any]) -> str | None:
    return as_json([(seconds, as_text(at)) for seconds, at in alarms])


class CalendarMaker(RecordMaker):
    """Makes rows of `CalendarSheet` and `CalendarEvent`."""

    frames = Frames(AboutCalendar, list[records.Event])
    model, record = CalendarEvent, records.Event
    special = {"exdates": _times, "alarms": _alarms}

    def head(self, about: AboutCalendar) -> Written:
        """The calendars."""
        return [(CalendarSheet, [(*self.stamp, *one) for one in about.calendars])]

    @staticmethod
    def words(record: records.Event) -> str | None:
        """Where it is, what is said of it, and who comes."""
        people = [(one.name, one.email) for one in record.attendees]
        people += [(record.organizer.name, record.organizer.email)] if record.organizer else []
        texts = (record.location, record.description, record.url)
        return spoken(texts, (part for one in people for part in one))
