"""Messages as the child sends them, turned into rows and written in bulk.

The child's records are arrays in the order of `parsers.message_records`, and are checked to be
so: it reads hostile bytes, and might send anything. Here 100,000 records pass a second, so
everything is positional and nothing is an object.
"""

import gc
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from app.backups.models import Message, MessageAttachment, MessageConversation
from app.core.clock import wire
from app.core.db import Base, driver, on_sqlite
from app.core.processes import Refused

Rows = list[tuple[Any, ...]]
Time = datetime | None
Text = str | None
Reactions = list[tuple[str, Text, Text, bool, Time]]
Files = list[tuple[Text, Text, Text, int | None, Text, bool | None, bool]]
ConversationRecord = tuple[int, str, Text, bool, Text, list[str], int, Time, Text]
MessageRecord = tuple[
    int, str, int | None, Time, bool, Text, Text, str, Text, Text, Text, Time,
    list[tuple[str, Time]], bool, Time, Text, int | None, Reactions, Files,
    tuple[str, Text, Text] | None, tuple[Text, Text, Text] | None,
]  # fmt: skip


class Head(msgspec.Struct, tag="head", array_like=True):
    """The first frame; see `reading.read_messages` for this and the others."""

    about: "About"


class About(msgspec.Struct):
    """What is known before the first message is read."""

    total: int
    conversations: list[ConversationRecord]


class Batch(msgspec.Struct, tag="messages", array_like=True):
    """Messages in rowid order."""

    records: list[MessageRecord]
    last_rowid: int
    lost: int


class End(msgspec.Struct, tag="end", array_like=True):
    """The last frame."""

    summary: "Summary"


class Summary(msgspec.Struct):
    """What is known after the last message is read."""

    warnings: list[dict[str, str]]


_encode = msgspec.json.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Head | Batch | End] = msgspec.msgpack.Decoder(Head | Batch | End)


def decode(frame: bytes) -> Head | Batch | End:
    """One frame of the child.

    Raises:
        Refused: it is none.
    """
    try:
        with without_collector():
            return _decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused("The process that read the messages sent something else.") from error


@contextmanager
def without_collector() -> Generator[None]:
    """Make many objects at once, without a search for cycles among them every 700.

    Must not be held over an `await`.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class RowMaker:
    """Makes rows of one generation of one backup, in the form its database takes them."""

    def __init__(self, backup_id: UUID, generation: int, *, sqlite: bool) -> None:
        self._backup_id: UUID | str = str(backup_id) if sqlite else backup_id
        self._generation = generation
        self._time: Callable[[datetime | None], Any] = _as_text if sqlite else _as_it_is

    def conversations(self, records: Iterable[ConversationRecord]) -> Rows:
        """Rows of `MessageConversation`."""
        backup, generation, time = self._backup_id, self._generation, self._time
        return [
            (backup, generation, number, guid, service, group, title, _json(people) or "[]",
             count, time(last), person)
            for number, guid, service, group, title, people, count, last, person in records
        ]  # fmt: skip

    def messages(self, records: Iterable[MessageRecord]) -> tuple[Rows, Rows]:
        """Rows of `Message`, and those of `MessageAttachment` that belong to them."""
        backup, generation, time = self._backup_id, self._generation, self._time
        messages: Rows = []
        attachments: Rows = []
        for (
            number, guid, conversation, sent_at, is_from_me, sender, service, kind, text, subject,
            reply_to, edited_at, edits, unsent, deleted_at, effect, error, reactions, files,
            event, link,
        ) in records:  # fmt: skip
            messages.append((
                backup, generation, number, guid, conversation, time(sent_at), is_from_me, sender,
                service, kind, text, subject, reply_to,
                None if edited_at is None else time(edited_at), _edits(edits) if edits else None,
                unsent, None if deleted_at is None else time(deleted_at), effect, error,
                _reactions(reactions) if reactions else None,
                _json(event) if event else None, _json(link) if link else None,
            ))  # fmt: skip
            if files:
                attachments += [
                    (backup, generation, number, position, *one)
                    for position, one in enumerate(files)
                ]
        return messages, attachments


async def write_conversations(session: AsyncSession, rows: Rows) -> None:
    """Add rows of `MessageConversation`; see `write`."""
    await _write(session, MessageConversation, rows)


async def write_messages(session: AsyncSession, messages: Rows, attachments: Rows) -> None:
    """Add rows of `Message` and `MessageAttachment`; see `write`."""
    await _write(session, Message, messages)
    await _write(session, MessageAttachment, attachments)


async def _write(session: AsyncSession, model: type[Base], rows: Rows) -> None:
    """Bulk load, as part of the session's transaction.

    Must not be the session's first statement: the driver's own calls do not begin a transaction.
    """
    if not rows:
        return
    assert session.in_transaction()
    table, columns, insert = _description(model)
    connection = await driver(session)
    if on_sqlite(session):
        cursor = await connection.executemany(insert, rows)
        await cursor.close()
    else:
        await connection.copy_records_to_table(table, records=rows, columns=columns)


@lru_cache
def _description(model: type[Base]) -> tuple[str, list[str], str]:
    table = model.__table__
    assert isinstance(table, Table)
    columns = [column.name for column in table.columns]
    marks = ", ".join("?" * len(columns))
    names = ", ".join(columns)
    insert = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 -- our own names
    return table.name, columns, insert


def _json(value: Any) -> str | None:
    return _encode(value).decode() if value else None


def _edits(edits: Iterable[Sequence[Any]]) -> str | None:
    return _json([{"text": text, "at": _wire(at)} for text, at in edits])


def _reactions(reactions: Iterable[Sequence[Any]]) -> str | None:
    return _json([
        {"kind": kind, "emoji": emoji, "sender": sender, "is_from_me": mine, "at": _wire(at)}
        for kind, emoji, sender, mine, at in reactions
    ])  # fmt: skip


def _wire(moment: datetime | None) -> str | None:
    return None if moment is None else wire(moment)


def _as_text(moment: datetime | None) -> str | None:
    """What `wire` makes of a time that is in UTC already, six times as fast."""
    return None if moment is None else moment.isoformat(timespec="microseconds")[:26] + "Z"


def _as_it_is(moment: datetime | None) -> datetime | None:
    return moment
