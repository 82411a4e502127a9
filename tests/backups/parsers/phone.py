"""A Messages database written row by row, for tests of one meaning each."""

import sqlite3
from pathlib import Path
from typing import Any

from app.backups.parsers.message_kinds import RawMessage
from app.backups.parsers.message_records import Message
from app.backups.parsers.messages import Messages
from app.backups.parsers.source import Source

SECOND = 1_000_000_000  # of the nanoseconds that iOS 11 and later store
_REACTION = ("associated_message_guid", "associated_message_emoji")
_FILE = "guid, filename, uti, mime_type, transfer_name, total_bytes, is_sticker, hide_attachment"


class Phone:
    """One chat (rowid 1) with Ada (handle 1) and Bo (handle 2), and whatever a test adds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None)
        columns = ", ".join((*RawMessage._fields[1:], *_REACTION))
        self.db.executescript(
            f"""
            CREATE TABLE message (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, {columns});
            CREATE TABLE handle (ROWID INTEGER PRIMARY KEY, id, service);
            CREATE TABLE chat (ROWID INTEGER PRIMARY KEY, guid, style, chat_identifier,
                service_name, display_name);
            CREATE TABLE attachment (ROWID INTEGER PRIMARY KEY, {_FILE});
            CREATE TABLE chat_handle_join (chat_id, handle_id);
            CREATE TABLE chat_message_join (chat_id, message_id);
            CREATE TABLE message_attachment_join (message_id, attachment_id);
            CREATE TABLE chat_recoverable_message_join (chat_id, message_id, delete_date);
            INSERT INTO handle VALUES (1, '+15550100001', 'iMessage'), (2, 'bo@example.com', 'SMS');
            INSERT INTO chat VALUES (1, 'iMessage;+;chat1', 43, 'chat1', 'iMessage', 'Lake');
            INSERT INTO chat_handle_join VALUES (1, 1), (1, 2);
            """
        )

    def add(self, *, chats: tuple[int, ...] = (1,), **columns: Any) -> int:
        """Add a message, from Ada and plain unless said otherwise; gives its rowid."""
        count = self.db.execute("SELECT count(*) FROM message").fetchone()[0]
        row = {"guid": f"G{count + 1}", "date": (count + 1) * SECOND, "handle_id": 1, **columns}
        rowid = self._insert("message", row)
        for chat in chats:
            self._insert("chat_message_join", {"chat_id": chat, "message_id": rowid})
        return rowid

    def attach(self, message: int, **columns: Any) -> int:
        rowid = self._insert("attachment", {"is_sticker": 0, "hide_attachment": 0, **columns})
        self._insert("message_attachment_join", {"message_id": message, "attachment_id": rowid})
        return rowid

    def react(self, target: str, code: int, **columns: Any) -> int:
        values = {"associated_message_guid": target, "associated_message_type": code, **columns}
        return self.add(text="Loved “something”", **values)

    def read(self) -> list[Message]:
        """What the parser makes of it."""
        with Source(self.path) as source:
            return [one for batch in Messages(source).batches() for one in batch.columns.records()]

    def one(self) -> Message:
        """The only message."""
        (message,) = self.read()
        return message

    def close(self) -> None:
        self.db.close()

    def _insert(self, table: str, row: dict[str, Any]) -> int:
        marks = ", ".join("?" * len(row))
        sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"
        rowid = self.db.execute(sql, list(row.values())).lastrowid
        assert rowid is not None
        return rowid
