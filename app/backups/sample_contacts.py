"""The rows of the made-up address book (see `app.backups.sample`): who is behind the numbers.

Source: docs/formats.md, Contacts.
"""

import random
import sqlite3
from collections import Counter
from typing import Any

from app.backups.sample_messages import PEOPLE, insert

_NAMES = (
    "Ada Lovelace", "Alan Turing", "Grace Hopper", "Emmy Noether", "José Álvarez", "美咲 Tanaka",
    "Zoë Müller", "Marie Curie", "Łukasz Nowak", "Rosa Parks", "Tim Berners", "Hedy Lamarr",
    "Ada Example", "Bo Diddley",
)  # fmt: skip
NAMES = dict(zip(PEOPLE, _NAMES, strict=True))  # by number or address
SCHEMA = """
CREATE TABLE ABPerson (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, First TEXT, Last TEXT, Middle TEXT,
    Organization TEXT, JobTitle TEXT, Note TEXT, Birthday TEXT, Kind INTEGER, CreationDate INTEGER,
    ModificationDate INTEGER, StoreID INTEGER, PersonLink INTEGER DEFAULT -1, guid TEXT);
CREATE TABLE ABStore (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT);
CREATE TABLE ABGroup (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT, StoreID INTEGER);
CREATE TABLE ABGroupMembers (UID INTEGER PRIMARY KEY, group_id INTEGER, member_type INTEGER,
    member_id INTEGER);
CREATE TABLE ABMultiValue (UID INTEGER PRIMARY KEY, record_id INTEGER, property INTEGER,
    identifier INTEGER, label INTEGER, value TEXT);
CREATE TABLE ABMultiValueLabel (value TEXT, UNIQUE (value));
CREATE TABLE ABMultiValueEntry (parent_id INTEGER, key INTEGER, value TEXT,
    UNIQUE (parent_id, key));
CREATE TABLE ABMultiValueEntryKey (value TEXT, UNIQUE (value));
"""
_PHONE, _MAIL, _ADDRESS = 3, 4, 5
_CREATED_S = 700_000_000


def write(db: sqlite3.Connection, _chance: random.Random, truth: Counter[str]) -> None:
    """Fill the tables, and count in `truth`."""
    cards: list[tuple[Any, ...]] = []
    values: list[tuple[Any, ...]] = []
    entries: list[tuple[Any, ...]] = []
    for number, (handle, name) in enumerate(NAMES.items(), 1):
        first, _, last = name.partition(" ")
        told = "met at the observatory" if number == 1 else None
        cards.append((number, first, last, None, told, _CREATED_S, _CREATED_S, 1, f"card-{number}"))
        kind = _MAIL if "@" in handle else _PHONE
        written = handle if number % 3 else _with_blanks(handle)
        values.append((3 * number, number, kind, 0, 1, written))
        if number % 4 == 1:
            values.append((3 * number + 1, number, _ADDRESS, 0, 2, None))
            entries += [
                (3 * number + 1, 1, f"{number} Harbour Street"),
                (3 * number + 1, 2, "Lisbon"),
            ]
    number = len(cards) + 1
    cards.append((number, None, None, "Quayside Bakery", None, _CREATED_S, None, 1, "card-company"))
    values.append((3 * number, number, _PHONE, 0, 2, "+351 21 555 0199"))
    insert(db, "ABStore", "ROWID Name", [(1, "Sample account")])
    insert(db, "ABMultiValueLabel", "ROWID value", [(1, "_$!<Mobile>!$_"), (2, "_$!<Home>!$_")])
    insert(db, "ABMultiValueEntryKey", "ROWID value", [(1, "Street"), (2, "City")])
    columns = "ROWID First Last Organization Note CreationDate ModificationDate StoreID guid"
    insert(db, "ABPerson", columns, cards)
    db.execute("UPDATE ABPerson SET Kind = Organization IS NOT NULL")
    insert(db, "ABMultiValue", "UID record_id property identifier label value", values)
    insert(db, "ABMultiValueEntry", "parent_id key value", entries)
    insert(db, "ABGroup", "ROWID Name StoreID", [(1, "Lake house", 1)])
    members = [(number, 1, 0, number) for number in range(1, 5)]
    insert(db, "ABGroupMembers", "UID group_id member_type member_id", members)
    truth["contacts"] = len(cards)


def _with_blanks(handle: str) -> str:
    """A number as people write it, for the same person."""
    return handle if "@" in handle else f"{handle[:2]} ({handle[2:5]}) {handle[5:8]}-{handle[8:]}"
