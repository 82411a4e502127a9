"""Rows of the calendar."""

from collections.abc import Sequence
from typing import Any

from app.backups.item_models import CalendarEvent, CalendarSheet
from app.backups.parsers import calendar_records as records
from app.backups.rows.frames import About, Frames
from app.backups.rows.making import Columns, Maker, Written, as_json, spoken, wired


class AboutCalendar(About):
    """What is known before the first event is read."""

    calendars: list[records.CalendarInfo]


FRAMES = Frames(AboutCalendar, records.Event)


class CalendarMaker(Maker):
    """Makes rows of `CalendarSheet` and `CalendarEvent`."""

    def head(self, about: AboutCalendar) -> Written:
        """The calendars."""
        return [(CalendarSheet, [(*self.stamp, *one) for one in about.calendars])]

    def items(self, records_: Sequence[records.Event]) -> Written:
        """Events and reminders."""
        columns = Columns(records.Event, self.time, exdates=_times, alarms=_alarms)
        rows = [(*self.stamp, *columns.row(one), _words(one)) for one in records_]
        return [(CalendarEvent, rows)]


def _words(event: records.Event) -> str | None:
    people = [(one.name, one.email) for one in event.attendees]
    people += [(event.organizer.name, event.organizer.email)] if event.organizer else []
    return spoken(
        event.location, event.description, (part for one in people for part in one), event.url
    )


def _times(moments: Sequence[Any]) -> str | None:
    return as_json([wired(moment) for moment in moments])


def _alarms(alarms: Sequence[Any]) -> str | None:
    return as_json([(seconds, wired(at)) for seconds, at in alarms])
