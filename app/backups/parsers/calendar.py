"""Calendar (`Calendar.sqlitedb`): every event with its rule, people, place and alarms.

Reads `CalendarItem`, whose wanted columns are the fields of `RawItem`, in one scan by rowid; before
it `Calendar`: store_id, title, color, UUID, sharing_status. `Store`: name, type, disabled. What
belongs to events: see `calendar_parts`. `OccurrenceCache` covers a window only and is not read.

Source: docs/formats.md, Calendar.
"""

from datetime import datetime
from typing import Any, NamedTuple

from app.backups.parsers.apple_time import from_apple
from app.backups.parsers.artifact import Artifact, all_rows
from app.backups.parsers.calendar_parts import Alarms, People, Places, Series, moment
from app.backups.parsers.calendar_records import CalendarInfo, Event
from app.backups.parsers.cells import code_of, int_of, line_of, text_of
from app.backups.parsers.source import Row, Source, Table

_CALENDARS = Table("Calendar", ("store_id", "title", "color", "UUID", "sharing_status"))
_STORES = Table("Store", ("name", "type", "disabled"))
_SOURCE_TYPES = {
    0: "local",
    1: "exchange",
    2: "caldav",
    3: "mobileme",
    4: "subscribed",
    5: "birthdays",
}
_STATUSES = {0: "none", 1: "confirmed", 2: "tentative", 3: "cancelled"}
_REMINDER = 3  # CalendarItem.entity_type; an event is 2
_FLOATING = "_float"
_NO_YEAR = 1604  # the year Apple writes for a birthday without one


class RawItem(NamedTuple):
    """A row of CalendarItem as it is read."""

    rowid: int
    summary: Any
    description: Any
    location_id: Any
    start_date: Any
    start_tz: Any
    end_date: Any
    due_date: Any
    all_day: Any
    calendar_id: Any
    orig_item_id: Any
    orig_date: Any
    organizer_id: Any
    status: Any
    availability: Any
    url: Any
    conference_url: Any
    conference_url_detected: Any
    conference: Any
    unique_identifier: Any
    uuid: Any
    entity_type: Any
    hidden: Any
    birthday_id: Any
    creation_date: Any
    last_modified: Any


class Calendar(Artifact[Event]):
    """The events of all calendars. See `Artifact`.

    `counts`: events, reminders, recurring, exdates, detached, all_day, floating, birthdays,
    alarms, attendees.
    """

    table = Table("CalendarItem", RawItem._fields[1:])

    def __init__(self, source: Source) -> None:
        """Read everything but the events themselves.

        Raises:
            UnsupportedSchema: this is no calendar database of a kind we know.
            Corrupt: the schema is unreadable, or reading takes far too long.
        """
        source.require("CalendarItem", ("summary", "start_date"))
        super().__init__(source)
        self._stores = {row[0]: row[1:] for row in all_rows(source, _STORES)}
        self._calendars = {row[0]: self._calendar(row) for row in all_rows(source, _CALENDARS)}
        self._series = Series(source)
        self._alarms = Alarms(source)
        self._people = People(source)
        self._places = Places(source)

    @property
    def heads(self) -> dict[str, list[Any]]:
        """`calendars`: all of them, in rowid order."""
        return {"calendars": list(self._calendars.values())}

    def _calendar(self, row: Row) -> CalendarInfo:
        rowid, store, title, color, uuid, sharing = row
        name, type_, disabled = self._stores.get(int_of(store) or 0, (None, None, None))
        return CalendarInfo(
            rowid,
            line_of(uuid),
            line_of(title),
            line_of(color),
            line_of(name),
            _SOURCE_TYPES.get(type_, "other") if type(type_) is int else "other",
            disabled == 1,
            bool(code_of(sharing)),
        )

    def _records(self, rows: list[Row]) -> list[Event]:
        return [self._event(raw) for raw in map(RawItem._make, rows)]

    def _event(self, raw: RawItem) -> Event:
        rowid = raw.rowid
        all_day = raw.all_day == 1
        floating = all_day or raw.start_tz == _FLOATING
        calendar = self._calendars.get(int_of(raw.calendar_id) or 0)
        place = self._places.of(rowid, raw.location_id)
        is_reminder = raw.entity_type == _REMINDER
        starts_at = moment(raw.due_date if raw.start_date is None else raw.start_date)
        series = int_of(raw.orig_item_id) or None
        is_birthday = _is_birthday(raw, calendar)
        return Event(
            rowid,
            line_of(raw.unique_identifier) or line_of(raw.uuid),
            line_of(raw.uuid),
            None if calendar is None else calendar.id,
            "reminder" if is_reminder else "event",
            line_of(raw.summary),
            text_of(raw.description),
            *place,
            starts_at,
            _end(raw.end_date, starts_at),
            all_day,
            floating,
            None if raw.start_tz == _FLOATING else line_of(raw.start_tz),
            _STATUSES.get(raw.status) if type(raw.status) is int else None,
            self._series.rule(rowid, floating=floating, all_day=all_day),
            self._series.exceptions(rowid),
            None if series is None else moment(raw.orig_date),
            series,
            line_of(raw.url),
            _first_line(raw.conference_url, raw.conference_url_detected, raw.conference),
            self._people.organizer(rowid, raw.organizer_id),
            self._people.attendees(rowid),
            self._alarms.of(rowid),
            is_birthday,
            is_birthday and starts_at is not None and starts_at.year > _NO_YEAR,
            raw.hidden == 1 or (calendar is not None and calendar.hidden),
            code_of(raw.availability),
            from_apple(raw.creation_date),
            from_apple(raw.last_modified),
        )

    def _tally(self, records: list[Event]) -> None:
        counts = self.counts
        for one in records:
            counts["reminders" if one.kind == "reminder" else "events"] += 1
            counts["recurring"] += one.rrule is not None
            counts["exdates"] += len(one.exdates)
            counts["detached"] += one.recurs_from is not None
            counts["all_day"] += one.all_day
            counts["floating"] += one.floating
            counts["birthdays"] += one.is_birthday
            counts["alarms"] += len(one.alarms)
            counts["attendees"] += len(one.attendees)


def _end(stamp: object, starts_at: datetime | None) -> datetime | None:
    """The end; 0 means "none" unless the event may really have ended when 2001 began."""
    ends_at = moment(stamp)
    if stamp == 0 and ends_at is not None and starts_at is not None and starts_at > ends_at:
        return None
    return ends_at


def _is_birthday(raw: RawItem, calendar: CalendarInfo | None) -> bool:
    of_birthdays = calendar is not None and calendar.source_type == "birthdays"
    return of_birthdays or (int_of(raw.birthday_id) or 0) > 0


def _first_line(*values: object) -> str | None:
    return next(filter(None, map(line_of, values)), None)
