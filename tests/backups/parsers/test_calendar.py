from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.backups.parsers.calendar import Calendar
from app.backups.parsers.calendar_records import Alarm, Attendee, CalendarInfo, Event, Person
from app.backups.parsers.errors import UnsupportedSchema
from app.backups.parsers.source import Source
from tests.backups.parsers.agenda import START, Agenda
from tests.backups.parsers.tables import Tables

STARTS_AT = datetime(2024, 9, 23, 16, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def agenda(tmp_path: Path) -> Iterator[Agenda]:
    made = Agenda(tmp_path / "Calendar.sqlitedb")
    yield made
    made.db.close()


def test_an_event_with_everything(agenda: Agenda) -> None:
    agenda.add("Identity", display_name="Ada Lovelace", address="mailto:ada@work.example")
    agenda.add("Identity", first_name="Bo", last_name="B", address="tel:+15550100002")
    place = agenda.add("Location", title="Pier 1", address="1 Main St", latitude=37.5,
                       longitude=-122.25)  # fmt: skip
    one = agenda.event(
        summary="Boat trip", description="bring oars\nand rope", location_id=place, status=1,
        organizer_id=1, url="https://example.com", conference_url_detected="https://meet.example",
        unique_identifier="UID-1", uuid="UUID-1", availability=1, creation_date=700000000.5,
        last_modified=700000000,
    )  # fmt: skip
    agenda.add("Participant", entity_type=8, status=1, identity_id=1, owner_id=one)
    for status, identity, email in ((2, 1, "ada@home.example"), (4, 2, None), (99, 77, None)):
        agenda.add("Participant", entity_type=7, status=status, identity_id=identity,
                   owner_id=one, email=email)  # fmt: skip
    agenda.add("Alarm", calendaritem_owner_id=one, trigger_interval=-900)
    agenda.add("Alarm", calendaritem_owner_id=one, trigger_date=START - 60.0, trigger_interval=0)
    agenda.add("Alarm", calendaritem_owner_id=one, trigger_interval=-60, disabled=1)
    agenda.add("Alarm", calendaritem_owner_id=one, trigger_interval=2**31 - 1)
    agenda.repeat(one, 2, "D=0MO", end_date=START + 86400.0 * 30)
    for weeks in (2, 1, 1):
        agenda.add("ExceptionDate", owner_id=one, date=START + weeks * 604800.0)

    assert read(agenda) == [
        Event(
            1, "UID-1", "UUID-1", 1, "event", "Boat trip", "bring oars\nand rope",
            "Pier 1, 1 Main St", 37.5, -122.25, STARTS_AT, STARTS_AT + timedelta(hours=1), False,
            False, "Europe/Berlin", "confirmed", "FREQ=WEEKLY;UNTIL=20241023T160000Z;BYDAY=MO",
            [STARTS_AT + WEEK, STARTS_AT + 2 * WEEK], None, None, "https://example.com",
            "https://meet.example", Person("Ada Lovelace", "ada@work.example"),
            [
                Attendee("Ada Lovelace", "ada@home.example", "accepted"),
                Attendee("Bo B", None, "tentative"),
                Attendee(None, None, "unknown"),
            ],
            [Alarm(-900, None), Alarm(None, STARTS_AT - timedelta(minutes=1))], False, False,
            False, 1, datetime(2023, 3, 8, 20, 26, 40, 500000, tzinfo=UTC),
            datetime(2023, 3, 8, 20, 26, 40, tzinfo=UTC),
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "all_day", "floating", "zone"),
    [
        ({}, False, False, "Europe/Berlin"),
        ({"start_tz": "_float"}, False, True, None),
        ({"start_tz": "_float", "all_day": 1}, True, True, None),
        ({"all_day": 1}, True, True, "Europe/Berlin"),
        ({"start_tz": None}, False, False, None),
        ({"start_tz": 7}, False, False, None),
    ],
)
def test_wall_clock_times(
    agenda: Agenda, columns: dict[str, Any], all_day: bool, floating: bool, zone: str | None
) -> None:
    agenda.event(**columns)

    (event,) = read(agenda)

    assert (event.all_day, event.floating, event.time_zone) == (all_day, floating, zone)
    assert event.starts_at == STARTS_AT


def test_the_rule_of_an_all_day_event_ends_on_a_day(agenda: Agenda) -> None:
    agenda.repeat(agenda.event(all_day=1, start_tz="_float"), 1, end_date=START + 86400.0)

    assert read(agenda)[0].rrule == "FREQ=DAILY;UNTIL=20240924"


def test_an_occurrence_names_its_series(agenda: Agenda) -> None:
    series = agenda.event(unique_identifier="U")
    agenda.repeat(series, 1)
    agenda.event(unique_identifier="U", orig_item_id=series, orig_date=START + 604800.0)

    first, moved = read(agenda)

    assert (first.recurrence_id, first.recurs_from, first.rrule) == (None, None, "FREQ=DAILY")
    assert (moved.recurrence_id, moved.recurs_from) == (STARTS_AT + WEEK, 1)
    assert (moved.rrule, moved.uid) == (None, first.uid)


def test_alarms_of_ios_6_name_their_owner_differently(agenda: Agenda) -> None:
    one = agenda.event()
    agenda.db.execute("ALTER TABLE Alarm RENAME COLUMN calendaritem_owner_id TO owner_id")
    agenda.add("Alarm", owner_id=one, trigger_interval=-60)

    assert read(agenda)[0].alarms == [Alarm(-60, None)]


def test_several_rules_are_lines(agenda: Agenda) -> None:
    one = agenda.event()
    for frequency in (1, 99, 3):
        agenda.repeat(one, frequency)

    assert read(agenda)[0].rrule == "FREQ=DAILY\nFREQ=MONTHLY"


@pytest.mark.parametrize(
    ("columns", "is_birthday", "known"),
    [
        ({}, False, False),
        ({"birthday_id": 5}, True, True),
        ({"birthday_id": 5, "start_date": -12522254400.0}, True, False),
        ({"birthday_id": -1}, False, False),
        ({"calendar_id": 2}, True, True),
    ],
)
def test_birthdays(agenda: Agenda, columns: dict[str, Any], is_birthday: bool, known: bool) -> None:
    agenda.add("Store", name="Birthdays", type=5)
    agenda.add("Calendar", store_id=2, title="Birthdays")
    agenda.event(**columns)

    (event,) = read(agenda)

    assert (event.is_birthday, event.birth_year_known) == (is_birthday, known)


def test_new_year_2001_is_a_time_like_any_other(agenda: Agenda) -> None:
    agenda.event(start_date=0.0, end_date=86399.0, all_day=1)
    agenda.event(start_date=-60.0, end_date=0.0)
    agenda.event(end_date=0)
    agenda.event(start_date=None, end_date=None)

    new_year = datetime(2001, 1, 1, tzinfo=UTC)
    assert [(one.starts_at, one.ends_at) for one in read(agenda)] == [
        (new_year, new_year + timedelta(seconds=86399)),
        (new_year - timedelta(minutes=1), new_year),
        (STARTS_AT, None),
        (None, None),
    ]


def test_reminders_are_told_apart(agenda: Agenda) -> None:
    agenda.event(entity_type=3, start_date=None, due_date=float(START))
    agenda.event(entity_type=None)

    reminder, event = read(agenda)

    assert (reminder.kind, reminder.starts_at, event.kind) == ("reminder", STARTS_AT, "event")


def test_what_is_hidden(agenda: Agenda) -> None:
    agenda.add("Store", name="Off", type=4, disabled=1)
    agenda.add("Calendar", store_id=2, title="Holidays", sharing_status=1)
    for columns in ({}, {"hidden": 1}, {"calendar_id": 2}, {"calendar_id": 99}):
        agenda.event(**columns)

    assert [one.hidden for one in read(agenda)] == [False, True, True, False]
    assert read(agenda)[3].calendar_id is None
    with Source(agenda.path) as source:
        assert Calendar(source).heads == {
            "calendars": [
                CalendarInfo(1, "C1", "Work", "#63DA38", "iCloud", "caldav", False, False),
                CalendarInfo(2, None, "Holidays", None, "Off", "subscribed", True, True),
            ]
        }


def test_a_place_may_name_its_event(agenda: Agenda) -> None:
    one = agenda.event(location_id=0)
    agenda.add("Location", title="Pier", latitude=0, longitude=0, item_owner_id=one)

    (event,) = read(agenda)

    assert (event.location, event.latitude, event.longitude) == ("Pier", None, None)


def test_the_organizer_may_be_told_by_its_event_only(agenda: Agenda) -> None:
    one = agenda.event(organizer_id=0)
    agenda.add("Participant", entity_type=8, owner_id=one, email="ada@example.com")

    assert read(agenda)[0].organizer == Person(None, "ada@example.com")


def test_another_database_is_refused(tmp_path: Path) -> None:
    other = Tables(tmp_path / "other", {"message": "text"})
    other.db.close()

    with Source(other.path) as source, pytest.raises(UnsupportedSchema, match="CalendarItem"):
        Calendar(source)


def read(agenda: Agenda) -> list[Event]:
    with Source(agenda.path) as source:
        return [one for batch in Calendar(source).batches() for one in batch.records]
