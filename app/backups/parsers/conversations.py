"""Chats, the people in them, and which message belongs to which.

Reads `handle`: id. `chat`: guid, style, service_name, display_name, chat_identifier.
`chat_handle_join`: chat_id, handle_id. `chat_message_join`: chat_id, message_id.
`chat_recoverable_message_join`: chat_id, message_id, delete_date. `message`: date.
Source: docs/formats.md, Messages; 750 of 305,384 messages of one user had no chat, 145 had two.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from app.backups.parsers.apple_time import from_apple
from app.backups.parsers.message_joins import Joins
from app.backups.parsers.message_records import Conversation
from app.backups.parsers.source import Row, Source, Table

_GROUP_STYLE = 43
_HANDLES = Table("handle", ("id",))
_CHATS = Table("chat", ("guid", "style", "service_name", "display_name", "chat_identifier"))
_PEOPLE = Table("chat_handle_join", ("chat_id", "handle_id"))
_MESSAGES = Table("chat_message_join", ("message_id", "chat_id"))
_RECOVERABLE = Table("chat_recoverable_message_join", ("message_id", "chat_id", "delete_date"))
_DATES = Table("message", ("date",))
_LAST_NANOSECOND = 7 * 10**18  # the year 2222; more is no time


class Handles:
    """The addresses of people, by handle rowid."""

    def __init__(self, source: Source) -> None:
        self._ids = {rowid: one for rowid, one in _rows(source, _HANDLES) if isinstance(one, str)}

    def get(self, rowid: object) -> str | None:
        """A phone number, e-mail address or business id; None for the unknown (handle 0)."""
        return self._ids.get(rowid) if type(rowid) is int else None

    def sender(self, mine: Any, handle: Any, caller: Any, account: Any) -> str | None:
        """Who sent a message, from is_from_me, handle_id, destination_caller_id and account."""
        if not mine:
            return self._ids.get(handle)
        if isinstance(caller, str) and caller:
            return caller
        # "P:+1555..." and "E:me@..." say what kind of address it is; old systems write "e:".
        if isinstance(account, str) and account:
            return account[2:] if account[1:2] == ":" else account
        return None


class Chats:
    """The chats of a database and the chat of each message, in 20 bytes a message."""

    def __init__(self, source: Source, handles: Handles) -> None:
        self._source = source
        self._handles = handles
        self._chats = {row[0]: row for row in _rows(source, _CHATS)}
        count = source.count("message")
        last = source.last_rowid("message")
        self._joins = Joins(last, source.most_rows if count is None else count)
        self.doubles = 0  # further chats of messages that are in several; the first one counts
        for _, message, chat in _rows(source, _MESSAGES):
            if chat in self._chats:
                self.doubles += self._joins.add(message, chat)
        self._deleted = {
            message: (chat if chat in self._chats else None, from_apple(when))
            for _, message, chat, when in _rows(source, _RECOVERABLE)
        }

    def of(self, message: int) -> tuple[int | None, datetime | None]:
        """The chat of a message and, if it is in "Recently Deleted", since when."""
        chat = self._joins.first(message)
        if chat is None and message in self._deleted:
            return self._deleted[message]
        return chat, None

    def columns(self, messages: Sequence[int]) -> tuple[list[int | None], dict[int, datetime]]:
        """What `of` says of each of these messages; since when, by place."""
        chats = list(map(self._joins.first, messages))
        deleted: dict[int, datetime] = {}
        if None in chats and self._deleted:
            for place, message in enumerate(messages):
                if chats[place] is None and message in self._deleted:
                    chats[place], since = self._deleted[message]
                    if since is not None:
                        deleted[place] = since
        return chats, deleted

    def conversations(self, reactions: set[int]) -> tuple[int, list[Conversation]]:
        """How many messages there are, and the chats with their numbers.

        Args:
            reactions: rowids of `message` that are not messages.
        """
        try:
            # Without an order SQLite may read the index on the date alone, an eighth of the table.
            batches = self._source.query(self._source.select(_DATES))
            total, counts, latest = self._numbers(batches, reactions)
        except sqlite3.DatabaseError:
            total, counts, latest = self._numbers(self._source.scan(_DATES), reactions)
        people = self._participants()
        return total, [
            _conversation(row, people.get(rowid, []), counts[rowid], from_apple(latest[rowid]))
            for rowid, row in self._chats.items()
        ]

    def _participants(self) -> dict[int, list[str]]:
        people: dict[int, list[str]] = {}
        for _, chat, handle in _rows(self._source, _PEOPLE):
            who = self._handles.get(handle)
            if who is not None and who not in people.setdefault(chat, []):
                people[chat].append(who)
        return people

    def _numbers(
        self, batches: Iterator[list[Row]], reactions: set[int]
    ) -> tuple[int, dict[int, int], dict[int, int]]:
        total, counts = 0, dict.fromkeys(self._chats, 0)
        latest = dict.fromkeys(self._chats, 0)
        for rowid, date in (row for rows in batches for row in rows):
            if rowid in reactions:
                continue
            total += 1
            chat = self.of(rowid)[0]
            if chat is not None:
                counts[chat] += 1
                if type(date) is int and latest[chat] < date < _LAST_NANOSECOND:
                    latest[chat] = date
        return total, counts, latest


def person_key(handle: str) -> str:
    """One key for one address however it is written: digits of a phone number, lower-case rest."""
    digits = "".join(one for one in handle if one.isdigit())
    if "@" in handle or len(digits) < 7:
        return handle.strip().lower()
    return ("+" if handle.strip().startswith("+") else "") + digits


def _conversation(row: Row, people: list[str], count: int, latest: datetime | None) -> Conversation:
    rowid, guid, style, service, title, identifier = row
    guid = guid if isinstance(guid, str) else f"chat-{rowid}"
    is_group = style == _GROUP_STYLE if style else ";+;" in guid
    if not people and not is_group and isinstance(identifier, str):
        people = [identifier]
    alone = not is_group and len(people) == 1
    return Conversation(
        rowid,
        guid,
        service if isinstance(service, str) else None,
        is_group,
        title if isinstance(title, str) and title else None,
        people,
        count,
        latest,
        person_key(people[0]) if alone else None,
    )


def _rows(source: Source, table: Table) -> Iterator[Row]:
    for rows in source.scan(table):
        yield from rows
