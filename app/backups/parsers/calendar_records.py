"""What the calendar parser yields. Named tuples: fast, and arrays once they are MessagePack.

Field meanings: docs/formats.md, Calendar. Times are aware UTC datetimes, but those of a floating
event are wall-clock times that only look so: they belong to no zone and must not be shifted.
"""

from datetime import datetime
from typing import NamedTuple


class CalendarInfo(NamedTuple):
    """One calendar of an account."""

    id: int
    uuid: str | None
    title: str | None
    color: str | None  # "#63DA38"
    source: str | None  # the account's name
    source_type: str  # local, exchange, caldav, mobileme, subscribed, birthdays, other
    hidden: bool  # its account is switched off
    shared: bool


class Person(NamedTuple):
    """Who has called a meeting."""

    name: str | None
    email: str | None


class Attendee(NamedTuple):
    """Who was asked to come."""

    name: str | None
    email: str | None
    status: str  # unknown, pending, accepted, declined, tentative, delegated, completed, in_process


class Alarm(NamedTuple):
    """When the phone rings: so many seconds from the start, negative for before; or at a time."""

    offset_seconds: int | None
    at: datetime | None


class Event(NamedTuple):
    """One row of CalendarItem: an event, a series, or one occurrence that differs from its series."""

    id: int
    uid: str | None  # iCalendar's UID, which an occurrence shares with its series
    uuid: str | None
    calendar_id: int | None
    kind: str  # event, reminder
    title: str | None
    description: str | None
    location: str | None
    latitude: float | None
    longitude: float | None
    starts_at: datetime | None
    ends_at: datetime | None  # of an all-day event the last second of its last day
    all_day: bool
    floating: bool  # all times of it are wall-clock times
    time_zone: str | None  # an IANA name
    status: str | None  # none, confirmed, tentative, cancelled
    rrule: str | None  # RFC 5545 without "RRULE:"; of several a line each
    exdates: list[datetime]
    recurrence_id: datetime | None  # which occurrence of the series this one replaces
    recurs_from: int | None  # the id of that series
    url: str | None
    conference_url: str | None
    organizer: Person | None
    attendees: list[Attendee]
    alarms: list[Alarm]
    is_birthday: bool
    birth_year_known: bool
    hidden: bool
    availability: int | None
    created_at: datetime | None
    modified_at: datetime | None
