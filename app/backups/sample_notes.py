"""The rows of the made-up Notes database (see `app.backups.sample`).

Source: docs/formats.md, Notes.
"""

import gzip
import random
import sqlite3
from collections import Counter

from app.backups.sample_messages import NEWEST_S, insert, sentence

SCHEMA = """
CREATE TABLE Z_PRIMARYKEY (Z_ENT INTEGER PRIMARY KEY, Z_NAME VARCHAR, Z_SUPER INTEGER,
    Z_MAX INTEGER);
CREATE TABLE ZICCLOUDSYNCINGOBJECT (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, ZIDENTIFIER VARCHAR,
    ZTITLE1 VARCHAR, ZTITLE2 VARCHAR, ZSNIPPET VARCHAR, ZFOLDER INTEGER, ZNOTEDATA INTEGER,
    ZACCOUNT7 INTEGER, ZOWNER INTEGER, ZNAME VARCHAR, ZFOLDERTYPE INTEGER,
    ZMODIFICATIONDATE1 TIMESTAMP, ZCREATIONDATE3 TIMESTAMP, ZISPINNED INTEGER,
    ZISPASSWORDPROTECTED INTEGER, ZMARKEDFORDELETION INTEGER, ZHASCHECKLIST INTEGER);
CREATE TABLE ZICNOTEDATA (Z_PK INTEGER PRIMARY KEY, ZNOTE INTEGER, ZDATA BLOB);
"""
_ENTITIES = {"ICAccount": 14, "ICFolder": 15, "ICNote": 12}
_ACCOUNT, _FOLDER, _TRASH, _FIRST = 1, 2, 3, 10


def write(db: sqlite3.Connection, chance: random.Random, truth: Counter[str]) -> None:
    """Fill the tables, and count in `truth`."""
    entities = [(number, name, 0, 0) for name, number in _ENTITIES.items()]
    insert(db, "Z_PRIMARYKEY", "Z_ENT Z_NAME Z_SUPER Z_MAX", entities)
    table = "ZICCLOUDSYNCINGOBJECT"
    account = (_ACCOUNT, _ENTITIES["ICAccount"], "account-1", "iCloud")
    insert(db, table, "Z_PK Z_ENT ZIDENTIFIER ZNAME", [account])
    folder = _ENTITIES["ICFolder"]
    folders = [(_FOLDER, folder, "folder-1", "Recipes", _ACCOUNT, 0)]
    folders.append((_TRASH, folder, "TrashFolder-1", "Recently Deleted", _ACCOUNT, 1))
    insert(db, table, "Z_PK Z_ENT ZIDENTIFIER ZTITLE2 ZOWNER ZFOLDERTYPE", folders)
    notes, bodies = [], []
    for number in range(20):
        title = "Sourdough starter" if number == 0 else f"Note {number}: {sentence(chance)}"
        text = "feed it with rye flour every evening" if number == 0 else sentence(chance)
        place = _TRASH if number == 19 else _FOLDER
        key, at = _FIRST + number, float(NEWEST_S - number * 86_400)
        notes.append(
            (key, _ENTITIES["ICNote"], f"note-{number}", title, text[:40], place, key, _ACCOUNT,
             at, at - 3600, number == 0, 0, 0)
        )  # fmt: skip
        bodies.append((key, key, note_body(f"{title}\n{text}")))
    columns = "Z_PK Z_ENT ZIDENTIFIER ZTITLE1 ZSNIPPET ZFOLDER ZNOTEDATA ZACCOUNT7"
    columns += " ZMODIFICATIONDATE1 ZCREATIONDATE3 ZISPINNED ZISPASSWORDPROTECTED"
    insert(db, table, f"{columns} ZMARKEDFORDELETION", notes)
    insert(db, "ZICNOTEDATA", "Z_PK ZNOTE ZDATA", bodies)
    truth["notes"] = len(notes)


def note_body(text: str) -> bytes:
    """The compressed body of a note with this text and nothing else."""
    run = _field(1, len(text.encode("utf-16-le")) // 2)
    note = _field(2, text.encode()) + _field(5, run)
    return gzip.compress(_field(2, _field(3, note)), mtime=0)


def _field(number: int, value: bytes | int) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
