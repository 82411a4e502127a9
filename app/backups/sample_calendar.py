"""The rows of the made-up calendar (see `app.backups.sample`).

Source: docs/formats.md, Calendar.
"""

import random
import sqlite3
from collections import Counter

from app.backups.sample_messages import NEWEST_S, insert, sentence

SCHEMA = """
CREATE TABLE Store (ROWID INTEGER PRIMARY KEY, name TEXT, type INTEGER);
CREATE TABLE Calendar (ROWID INTEGER PRIMARY KEY, store_id INTEGER, title TEXT, color TEXT,
    UUID TEXT);
CREATE TABLE CalendarItem (ROWID INTEGER PRIMARY KEY, summary TEXT, location_id INTEGER,
    description TEXT, start_date REAL, start_tz TEXT, end_date REAL, end_tz TEXT, all_day INTEGER,
    calendar_id INTEGER, orig_item_id INTEGER, orig_date REAL, organizer_id INTEGER,
    status INTEGER, url TEXT, hidden INTEGER, has_recurrences INTEGER, unique_identifier TEXT,
    UUID TEXT, creation_date REAL, last_modified REAL, entity_type INTEGER);
CREATE TABLE Location (ROWID INTEGER PRIMARY KEY, title TEXT, address TEXT, latitude REAL,
    longitude REAL);
CREATE TABLE Recurrence (ROWID INTEGER PRIMARY KEY, frequency INTEGER, interval INTEGER,
    week_start INTEGER, count INTEGER, end_date REAL, specifier TEXT, owner_id INTEGER);
CREATE TABLE ExceptionDate (ROWID INTEGER PRIMARY KEY, owner_id INTEGER, date REAL);
CREATE TABLE Alarm (ROWID INTEGER PRIMARY KEY, trigger_date REAL, trigger_interval INTEGER,
    calendaritem_owner_id INTEGER);
CREATE TABLE Participant (ROWID INTEGER PRIMARY KEY, entity_type INTEGER, status INTEGER,
    role INTEGER, identity_id INTEGER, owner_id INTEGER, email TEXT);
CREATE TABLE Identity (ROWID INTEGER PRIMARY KEY, display_name TEXT, address TEXT);
"""
_EVENT, _ATTENDEE = 2, 7
_WEEKLY = 2
_ACCEPTED = 2


def write(db: sqlite3.Connection, chance: random.Random, truth: Counter[str]) -> None:
    """Fill the tables, and count in `truth`."""
    insert(db, "Store", "ROWID name type", [(1, "iCloud", 2)])
    calendars = [(1, 1, "Home", "#34C759", "calendar-1"), (2, 1, "Work", "#FF9500", "calendar-2")]
    insert(db, "Calendar", "ROWID store_id title color UUID", calendars)
    insert(db, "Location", "ROWID title address", [(1, "City Planetarium", "1 Star Road")])
    events = []
    for number in range(1, 31):
        title = "Telescope evening" if number == 1 else sentence(chance)
        start, all_day = float(NEWEST_S - number * 172_800), number % 7 == 0
        zone = "_float" if all_day else "Europe/Berlin"
        end = start + (86_399 if all_day else 3600)
        events.append(
            (number, title, 1 if number == 1 else None, None, start, zone, end, zone, all_day,
             1 + number % 2, f"event-{number}@example.com", f"uuid-{number}", start, _EVENT)
        )  # fmt: skip
    columns = "ROWID summary location_id description start_date start_tz end_date end_tz all_day"
    columns += " calendar_id unique_identifier UUID creation_date entity_type"
    insert(db, "CalendarItem", columns, events)
    db.execute("UPDATE CalendarItem SET orig_item_id = 0, status = 1, hidden = 0")
    columns = "ROWID frequency interval week_start count specifier owner_id"
    insert(db, "Recurrence", columns, [(1, _WEEKLY, 1, 1, 10, "D=0TH", 1)])
    away = NEWEST_S - 172_800 + 7 * 86_400
    insert(db, "ExceptionDate", "ROWID owner_id date", [(1, 1, float(away))])
    insert(db, "Alarm", "ROWID trigger_interval calendaritem_owner_id", [(1, -900, 1)])
    insert(
        db,
        "Identity",
        "ROWID display_name address",
        [(1, "Grace Hopper", "mailto:grace@example.com")],
    )
    columns = "ROWID entity_type status role identity_id owner_id email"
    guest = (1, _ATTENDEE, _ACCEPTED, 1, 1, 1, "grace@example.com")
    insert(db, "Participant", columns, [guest])
    truth.update(calendars=len(calendars), events=len(events))
