"""What belongs to events: rules, exceptions, alarms, people and places, held in memory by owner.

Reads `Recurrence`: frequency, interval, count, week_start, specifier, end_date, owner_id.
`ExceptionDate`: owner_id, date. `Alarm`: calendaritem_owner_id or owner_id, trigger_interval, trigger_date,
disabled. `Participant`: entity_type, status, identity_id, owner_id, email. `Identity`: display_name,
first_name, last_name, address. `Location`: title, address, latitude, longitude, item_owner_id.

Source: docs/formats.md, Calendar.
"""

from datetime import datetime
from typing import NamedTuple

from app.backups.parsers.apple_time import EPOCH, from_apple
from app.backups.parsers.artifact import all_rows
from app.backups.parsers.calendar_records import Alarm, Attendee, Person
from app.backups.parsers.cells import code_of, int_of, line_of, place_of
from app.backups.parsers.recurrence import Recurrence, to_rrule
from app.backups.parsers.source import Source, Table

_RULES = Table(
    "Recurrence",
    ("owner_id", "end_date", "frequency", "interval", "count", "week_start", "specifier"),
)
_EXCEPTIONS = Table("ExceptionDate", ("owner_id", "date"))
_ALARMS = Table(
    "Alarm",
    ("calendaritem_owner_id", "owner_id", "trigger_interval", "trigger_date", "disabled"),
)
_PARTICIPANTS = Table("Participant", ("owner_id", "entity_type", "status", "identity_id", "email"))
_IDENTITIES = Table("Identity", ("display_name", "address", "first_name", "last_name"))
_LOCATIONS = Table("Location", ("title", "address", "latitude", "longitude", "item_owner_id"))

_ATTENDEE, _ORGANIZER = 7, 8  # Participant.entity_type
_STATUSES = {
    1: "pending",
    2: "accepted",
    3: "declined",
    4: "tentative",
    5: "delegated",
    6: "completed",
    7: "in_process",
}
_MAX_OFFSET_S = 10 * 366 * 86400  # the sentinels of "no offset" are decades


class Place(NamedTuple):
    """Where an event is."""

    name: str | None
    latitude: float | None
    longitude: float | None


NOWHERE = Place(None, None, None)


def moment(stamp: object) -> datetime | None:
    """A time of the calendar, where 0 is the first second of 2001 and NULL alone means "none"."""
    return EPOCH if type(stamp) in (int, float) and stamp == 0 else from_apple(stamp)


class Series:
    """When events happen again."""

    def __init__(self, source: Source) -> None:
        self._rules: dict[int, list[tuple[object, Recurrence]]] = {}
        for _, owner, end, *rule in all_rows(source, _RULES):
            if type(owner) is int:
                self._rules.setdefault(owner, []).append((end, Recurrence(*rule)))
        self._exceptions: dict[int, set[datetime]] = {}
        for _, owner, date in all_rows(source, _EXCEPTIONS):
            at = moment(date)
            if type(owner) is int and at is not None:
                self._exceptions.setdefault(owner, set()).add(at)

    def rule(self, event: int, *, floating: bool, all_day: bool) -> str | None:
        """The rules of an event, a line for each, or None."""
        found = (
            to_rrule(rule, from_apple(end), floating=floating, all_day=all_day)
            for end, rule in self._rules.get(event, ())
        )
        return "\n".join(filter(None, found)) or None

    def exceptions(self, event: int) -> list[datetime]:
        """The occurrences that do not happen, in order."""
        return sorted(self._exceptions.get(event, ()))


class Alarms:
    """When the phone rings."""

    def __init__(self, source: Source) -> None:
        self._of: dict[int, list[Alarm]] = {}
        for _, item, owner_6, interval, date, disabled in all_rows(source, _ALARMS):
            owner = int_of(item) or int_of(owner_6)
            if owner is not None and disabled != 1:
                alarm = Alarm(_offset(interval), from_apple(date))
                if alarm.at is not None:
                    alarm = Alarm(None, alarm.at)
                if alarm != (None, None):
                    self._of.setdefault(owner, []).append(alarm)

    def of(self, event: int) -> list[Alarm]:
        """The alarms of an event."""
        return self._of.get(event, [])


class People:
    """Who calls and who comes."""

    def __init__(self, source: Source) -> None:
        self._identities = {
            rowid: (_name(*names), _email(address))
            for rowid, shown, address, first, last in all_rows(source, _IDENTITIES)
            for names in [(shown, first, last)]
        }
        self._organizers: dict[int, Person] = {}  # by the rowid of the participant
        self._organizer_of: dict[int, Person] = {}
        self._attendees: dict[int, list[Attendee]] = {}
        for rowid, owner, kind, status, identity, address in all_rows(source, _PARTICIPANTS):
            name, email = self._identities.get(int_of(identity) or 0, (None, None))
            person = Person(name, line_of(address) or email)
            if kind == _ORGANIZER:
                self._organizers[rowid] = person
                if type(owner) is int:
                    self._organizer_of.setdefault(owner, person)
            elif kind == _ATTENDEE and type(owner) is int:
                attendee = Attendee(*person, _status(status))
                self._attendees.setdefault(owner, []).append(attendee)

    def organizer(self, event: int, participant: object) -> Person | None:
        """Who has called: the participant that the event names, or the one that names the event."""
        named = self._organizers.get(participant) if type(participant) is int else None
        return named or self._organizer_of.get(event)

    def attendees(self, event: int) -> list[Attendee]:
        """Who was asked to come."""
        return self._attendees.get(event, [])


class Places:
    """Where events are."""

    def __init__(self, source: Source) -> None:
        self._places: dict[int, Place] = {}
        self._of: dict[int, int] = {}
        for rowid, title, address, latitude, longitude, owner in all_rows(source, _LOCATIONS):
            lines = dict.fromkeys(filter(None, (line_of(title), line_of(address))))
            self._places[rowid] = Place(", ".join(lines) or None, *place_of(latitude, longitude))
            if type(owner) is int:
                self._of.setdefault(owner, rowid)

    def of(self, event: int, location: object) -> Place:
        """The place that an event names, or that names the event."""
        named = self._places.get(location) if type(location) is int else None
        return named or self._places.get(self._of.get(event, 0), NOWHERE)


def _offset(interval: object) -> int | None:
    offset = code_of(interval)
    return offset if offset is not None and abs(offset) <= _MAX_OFFSET_S else None


def _status(status: object) -> str:
    return _STATUSES.get(status, "unknown") if type(status) is int else "unknown"


def _name(shown: object, first: object, last: object) -> str | None:
    return line_of(shown) or " ".join(filter(None, (line_of(first), line_of(last)))) or None


def _email(address: object) -> str | None:
    text = line_of(address)
    if text is None or text.lower().startswith("tel:"):
        return None
    return text[len("mailto:") :] or None if text.lower().startswith("mailto:") else text
