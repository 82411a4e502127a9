"""The rows of the made-up Messages database (see `app.backups.sample`).

The tables have Apple's names and columns (iOS 18 generation, those that matter to a reader);
SQLite's own are left to SQLite. Source: docs/formats.md, Messages.
"""

import plistlib
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.backups.manifest import MEDIA_PREFIXES, compute_file_id

NEWEST_S = 780_000_000  # seconds since 2001: September 2025
_SPACING_S = 600  # between two messages
_NANO = 1_000_000_000
_ME = "+15550001111"
PEOPLE = [f"+1555010{number:04d}" for number in range(12)] + ["ada@example.com", "bo@example.com"]
_WORDS = [
    "dinner",
    "at",
    "seven",
    "train",
    "leaves",
    "soon",
    "see",
    "you",
    "at",
    "the",
    "station",
    "can",
    "you",
    "bring",
    "the",
    "keys",
    "happy",
    "birthday",
    "the",
    "report",
    "is",
    "ready",
    "call",
    "me",
    "later",
    "great",
    "idea",
    "where",
    "are",
    "we",
    "meeting",
    "tomorrow",
    "café",
    "über",
    "東京",
    "привет",
    "photos",
    "from",
    "the",
    "lake",
    "invoice",
    "paid",
    "thanks",
    "a",
    "lot",
    "😀",
    "🎉",
]  # a sentence is easier to read than a list
_TAPBACKS = ((2000, "Loved"), (2001, "Liked"), (2003, "Laughed at"), (2006, "Reacted 🔥 to"))

SCHEMA = """
CREATE TABLE handle (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, service TEXT NOT NULL);
CREATE TABLE chat (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, guid TEXT UNIQUE NOT NULL, style INTEGER,
    chat_identifier TEXT, service_name TEXT, room_name TEXT, display_name TEXT);
CREATE TABLE message (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, guid TEXT UNIQUE NOT NULL, text TEXT,
    attributedBody BLOB, handle_id INTEGER DEFAULT 0, service TEXT, account TEXT,
    error INTEGER DEFAULT 0, date INTEGER, is_from_me INTEGER DEFAULT 0,
    is_audio_message INTEGER DEFAULT 0, item_type INTEGER DEFAULT 0, other_handle INTEGER DEFAULT 0,
    group_title TEXT, group_action_type INTEGER DEFAULT 0, associated_message_guid TEXT,
    associated_message_type INTEGER DEFAULT 0, associated_message_emoji TEXT,
    expressive_send_style_id TEXT, message_summary_info BLOB, thread_originator_guid TEXT,
    date_edited INTEGER DEFAULT 0, date_retracted INTEGER DEFAULT 0, destination_caller_id TEXT);
CREATE TABLE attachment (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, guid TEXT UNIQUE NOT NULL,
    filename TEXT, uti TEXT, mime_type TEXT, transfer_name TEXT, total_bytes INTEGER DEFAULT 0,
    is_sticker INTEGER DEFAULT 0, hide_attachment INTEGER DEFAULT 0);
CREATE TABLE chat_handle_join (chat_id INTEGER, handle_id INTEGER, UNIQUE (chat_id, handle_id));
CREATE TABLE chat_message_join (chat_id INTEGER, message_id INTEGER, message_date INTEGER,
    PRIMARY KEY (chat_id, message_id));
CREATE TABLE message_attachment_join (message_id INTEGER, attachment_id INTEGER,
    UNIQUE (message_id, attachment_id));
CREATE TABLE chat_recoverable_message_join (chat_id INTEGER, message_id INTEGER, delete_date INTEGER,
    PRIMARY KEY (chat_id, message_id));
"""
INDEXES = """
CREATE INDEX message_idx_date ON message(date);
CREATE INDEX message_idx_associated_message ON message(associated_message_guid);
"""
_MESSAGE = [
    "ROWID",
    "guid",
    "text",
    "attributedBody",
    "handle_id",
    "service",
    "account",
    "date",
    "is_from_me",
    "item_type",
    "other_handle",
    "group_title",
    "associated_message_guid",
    "associated_message_type",
    "associated_message_emoji",
    "expressive_send_style_id",
    "message_summary_info",
    "thread_originator_guid",
    "date_edited",
    "date_retracted",
    "destination_caller_id",
]  # likewise


class SampleMessages:
    """Makes the rows, and counts what it makes."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.truth: Counter[str] = Counter()
        self.files: list[tuple[str, str]] = []  # (domain, relativePath), listed in the manifest
        self._folder = folder
        self._chance = chance
        self._attachments: list[tuple[Any, ...]] = []
        self._attached: list[tuple[int, int]] = []
        self._joined: list[tuple[int, int, int]] = []
        self._recoverable: list[tuple[int, int, int]] = []
        self._last: dict[int, tuple[str, str]] = {}  # chat -> guid and text of its last message

    def write(self, db: sqlite3.Connection, messages: int) -> None:
        """Fill the tables."""
        people = list(enumerate(PEOPLE, 1))
        chats: list[tuple[Any, ...]] = [
            (who, f"iMessage;-;{one}", 45, one, None, None) for who, one in people
        ]
        group = len(people) + 1
        chats.append((group, "iMessage;+;chat100", 43, "chat100", "chat100", "Lake house"))
        members = [(who, who) for who, _ in people] + [(group, who) for who in range(1, 5)]
        insert(db, "handle", "ROWID id service", [(who, one, "iMessage") for who, one in people])
        insert(db, "chat", "ROWID guid style chat_identifier room_name display_name", chats)
        db.execute("UPDATE chat SET service_name = 'iMessage'")
        insert(db, "chat_handle_join", "chat_id handle_id", members)
        insert(db, "message", " ".join(_MESSAGE), self._rows(messages, group))
        insert(db, "chat_message_join", "chat_id message_id message_date", self._joined)
        columns = "ROWID guid filename uti mime_type transfer_name total_bytes"
        insert(db, "attachment", columns, self._attachments)
        insert(db, "message_attachment_join", "message_id attachment_id", self._attached)
        columns = "chat_id message_id delete_date"
        insert(db, "chat_recoverable_message_join", columns, self._recoverable)
        self.truth.update(rows=messages, conversations=len(chats), groups=1)
        self.truth["messages"] = messages - self.truth["reaction_rows"]

    def _rows(self, messages: int, group: int) -> Iterator[list[Any]]:
        for rowid in range(1, messages + 1):
            chat = self._chance.randint(1, group)
            at = NEWEST_S - (messages - rowid) * _SPACING_S
            row: dict[str, Any] = dict.fromkeys(_MESSAGE)
            mine = self._chance.random() < 0.45
            sender = self._chance.randint(1, 4) if chat == group else chat
            row.update(ROWID=rowid, guid=self._guid(), date=at * _NANO, is_from_me=int(mine))
            row.update(handle_id=0 if mine and chat == group else sender, service="iMessage")
            row.update(
                account=f"P:{_ME}", destination_caller_id=_ME, date_edited=0, date_retracted=0
            )
            row.update(item_type=0, associated_message_type=0, other_handle=0)
            text = self._content(row, chat, at, in_group=chat == group)
            if text is not None:
                only_body = self._chance.random() < 0.7
                row["attributedBody"] = attributed_body(text)
                row["text"] = None if only_body else text
                if row["associated_message_type"] == 0:
                    self.truth["text_from_body"] += only_body
                    self._last[chat] = (row["guid"], text)
            self._join(row, chat)
            yield list(row.values())

    def _content(self, row: dict[str, Any], chat: int, at: int, *, in_group: bool) -> str | None:
        """Decide what a row is, fill its columns and give its text."""
        draw, last = self._chance.random(), self._last.get(chat)
        if draw < 0.06 and last:
            return self._tapback(row, *last)
        if draw < 0.07 and in_group:
            self.truth["group_event"] += 1
            row.update(item_type=2, group_title=sentence(self._chance))
            return None
        if draw < 0.09:
            return self._edited(row, at)
        if draw < 0.10:
            self.truth["unsent"] += 1
            parts = {"otr": {"0": {"lo": 0, "le": 5}}, "rp": [0]}
            row.update(date_edited=(at + 30) * _NANO, date_retracted=(at + 30) * _NANO)
            row["message_summary_info"] = plistlib.dumps(parts, fmt=plistlib.FMT_BINARY)
            return None
        if draw < 0.14:
            return self._with_attachment(row["ROWID"])
        if draw < 0.17 and last:
            self.truth["replies"] += 1
            row["thread_originator_guid"] = last[0]
        elif draw < 0.18:
            self.truth["effects"] += 1
            row["expressive_send_style_id"] = "com.apple.messages.effect.CKConfettiEffect"
        return sentence(self._chance)

    def _tapback(self, row: dict[str, Any], target: str, text: str) -> str:
        code, verb = self._chance.choice(_TAPBACKS)
        self.truth["reaction_rows"] += 1
        removed = 1000 * (self._chance.random() < 0.1)
        row.update(associated_message_guid=f"p:0/{target}", associated_message_type=code + removed)
        row["associated_message_emoji"] = "🔥" if code == 2006 else None
        return f"{verb} “{text}”"

    def _edited(self, row: dict[str, Any], at: int) -> str:
        self.truth["edited"] += 1
        before, after = sentence(self._chance), sentence(self._chance)
        wordings = [
            {"d": float(at), "t": attributed_body(before)},
            {"d": float(at + 60), "t": attributed_body(after)},
        ]
        parts = {"otr": {"0": {"lo": 0, "le": len(after)}}, "ec": {"0": wordings}, "ep": [0]}
        row["date_edited"] = (at + 60) * _NANO
        row["message_summary_info"] = plistlib.dumps(parts, fmt=plistlib.FMT_BINARY)
        return after

    def _with_attachment(self, message: int) -> str:
        number, guid = len(self._attachments) + 1, self._guid()
        name = f"IMG_{number:04d}.HEIC"
        domain, prefix = MEDIA_PREFIXES["messages"]
        relative_path = f"{prefix}{guid[:2].lower()}/{number % 16:02d}/{guid}/{name}"
        content = b"not really a picture " * self._chance.randint(1, 50)
        self.files.append((domain, relative_path))
        self.truth["attachments"] += 1
        if number % 4:
            place(self._folder, domain, relative_path).write_bytes(content)
            self.truth["attachments_present"] += 1
        path = f"~/{relative_path}"
        described = (number, guid, path, "public.heic", "image/heic", name, len(content))
        self._attachments.append(described)
        self._attached.append((message, number))
        return "\ufffc" + (sentence(self._chance) if number % 2 else "")

    def _join(self, row: dict[str, Any], chat: int) -> None:
        if row["ROWID"] % 500 == 250 and row["associated_message_type"] == 0:
            self.truth["deleted"] += 1
            self._recoverable.append((chat, row["ROWID"], NEWEST_S * _NANO))
        else:
            self._joined.append((chat, row["ROWID"], row["date"]))

    def _guid(self) -> str:
        digits = f"{self._chance.getrandbits(128):032X}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def sentence(chance: random.Random) -> str:
    """Words in no particular order."""
    return " ".join(chance.choices(_WORDS, k=chance.randint(2, 12)))


def attributed_body(text: str) -> bytes:
    """The typedstream of an attributed string of one part, as Messages writes it."""
    raw = text.encode()
    units = len(text.encode("utf-16-le")) // 2
    return b"".join(
        (
            b"\x04\x0bstreamtyped\x81\xe8\x03",
            b"\x84\x01@\x84\x84\x84\x12NSAttributedString\x00\x84\x84\x08NSObject\x00\x85",
            b"\x92\x84\x84\x84\x08NSString\x01\x94\x84\x01+" + _length(len(raw)) + raw + b"\x86",
            b"\x84\x02iI\x01" + _length(units) + b"\x92\x84\x84\x84\x0cNSDictionary\x00\x94",
            b"\x84\x01i\x01\x92\x84\x96\x96\x1d__kIMMessagePartAttributeName\x86",
            b"\x92\x84\x84\x84\x08NSNumber\x00\x84\x84\x07NSValue\x00\x94",
            b"\x84\x01*\x84\x99\x99\x00\x86\x86\x86",
        )
    )


def _length(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    return (
        b"\x81" + value.to_bytes(2, "little")
        if value < 0x8000
        else b"\x82" + value.to_bytes(4, "little")
    )


def insert(db: sqlite3.Connection, table: str, columns: str, rows: Any) -> None:
    """Insert tuples; `columns` are names parted by blanks."""
    names = columns.split()
    marks = ", ".join("?" * len(names))
    db.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)  # noqa: S608


def place(folder: Path, domain: str, relative_path: str) -> Path:
    """Where a backup keeps a file; its room is made."""
    file_id = compute_file_id(domain, relative_path)
    room = folder / file_id[:2]
    room.mkdir(parents=True, exist_ok=True)
    return room / file_id
