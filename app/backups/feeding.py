"""Filling the search index from the tables of a generation that is whole, inside the database.

Nothing of it passes through this process. A feed says for one domain what of an item is its
title, its text, its person and its time.
"""

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    Text,
    case,
    func,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from app.backups.items.base import Item
from app.backups.items.calendar import CalendarEvent
from app.backups.items.contacts import Contact
from app.backups.items.messages import Message, MessageConversation
from app.backups.items.notes import BackupNote
from app.backups.items.photos import PhotoAsset
from app.backups.items.whatsapp import WhatsAppChat, WhatsAppMessage
from app.backups.models import ArtifactSearchIndex
from app.core.db import on_sqlite

# Rows per step: on SQLite the writer's lock is held meanwhile, on PostgreSQL a cancel waits.
_BATCH_SQLITE, _BATCH_POSTGRESQL = 4_000, 20_000

# Characters of a title and of the rest that are indexed, before folding and after it, which may
# make many of one: a tsvector has room for 1 MiB.
_LONGEST_HEADING, _LONGEST = 1_000, 200_000

_Element = ColumnElement[Any]
_COPIED = ("backup_id", "generation", "number", "title", "text", "person", "timestamp")


@dataclass(frozen=True, slots=True)
class Feed:
    """How the items of one domain are found.

    `chat` names what a message belongs to: its table, the column that says which one, and the
    column that is its title. That is shown with the message but does not find it: a word in the
    name of a group would find everything in there. `person` does: who wrote it, or to whom.
    """

    kind: str  # of search results
    table: type[Item]
    title: Any  # a column, or None where it is the chat's
    texts: tuple[Any, ...]
    person: Any
    timestamp: Any
    chat: tuple[type[Item], Any, Any] | None = None


MESSAGES = Feed(
    "message",
    Message,
    None,
    (Message.subject, Message.text, Message.words),
    case(
        (
            Message.is_from_me & ~MessageConversation.is_group,
            MessageConversation.label,
        ),
        else_=Message.sender_name,
    ),
    Message.sent_at,
    (MessageConversation, Message.conversation, MessageConversation.label),
)
WHATSAPP = Feed(
    "whatsapp_message",
    WhatsAppMessage,
    None,
    (WhatsAppMessage.text, WhatsAppMessage.words),
    case(
        (WhatsAppMessage.is_from_me & (WhatsAppChat.kind == "direct"), WhatsAppChat.title),
        else_=WhatsAppMessage.sender_name,
    ),
    WhatsAppMessage.sent_at,
    (WhatsAppChat, WhatsAppMessage.chat, WhatsAppChat.title),
)
NOTES = Feed(
    "backup_note",
    BackupNote,
    BackupNote.title,
    (BackupNote.text, BackupNote.words),
    None,
    BackupNote.modified_at,
)
PHOTOS = Feed(
    "photo",
    PhotoAsset,
    func.coalesce(PhotoAsset.title, PhotoAsset.filename),
    (PhotoAsset.words,),
    None,
    PhotoAsset.taken_at,
)
CALENDAR = Feed(
    "event",
    CalendarEvent,
    CalendarEvent.title,
    (CalendarEvent.words,),
    CalendarEvent.organizer[0].as_string(),
    CalendarEvent.starts_at,
)
CONTACTS = Feed(
    "contact",
    Contact,
    Contact.display_name,
    (Contact.words,),
    Contact.display_name,
    Contact.modified_at,
)


async def feed(
    session: AsyncSession, fed: Feed, domain: str, backup_id: UUID, generation: int, after: int
) -> int | None:
    """Index one batch of items with a number above `after`.

    Returns:
        The number of the last one, or None when there are none left.
    """
    table, sqlite = fed.table, on_sqlite(session)
    size = _BATCH_SQLITE if sqlite else _BATCH_POSTGRESQL
    mine = (table.backup_id == backup_id, table.generation == generation, table.number > after)
    batch = select(table.number).where(*mine).order_by(table.number).limit(size).subquery()
    last = (await session.execute(select(func.max(batch.c.number)))).scalar_one()
    if last is None:
        return None
    items = _items(fed, *mine, table.number <= last)
    headed = fed.chat is None
    terms = _sqlite_terms(items) if sqlite else _postgresql_terms(items, headed=headed)
    shown = [items.c[name] for name in _COPIED]
    chosen = select(*shown, literal(domain), literal(fed.kind), terms)
    columns = [*_COPIED, "domain", "kind", "terms"]
    await session.execute(insert(ArtifactSearchIndex).from_select(columns, chosen))
    return cast(int, last)


def _items(fed: Feed, *conditions: _Element) -> Subquery:
    """Items as search sees them; besides `_COPIED` their `heading` and `body`, of which words are made."""
    table = fed.table
    title = fed.title if fed.chat is None else fed.chat[2]
    person: _Element = literal(None, Text) if fed.person is None else fed.person
    text = _together(fed.texts)
    body = func.coalesce(person, "") + " " + text
    chosen: Select[Any] = select(
        table.backup_id,
        table.generation,
        table.number,
        title.label("title"),
        text.label("text"),
        person.label("person"),
        fed.timestamp.label("timestamp"),
        (
            literal("") if fed.chat else func.substr(func.coalesce(title, ""), 1, _LONGEST_HEADING)
        ).label("heading"),
        func.substr(body, 1, _LONGEST).label("body"),
    ).where(*conditions)
    if fed.chat is not None:
        chat, of, _ = fed.chat
        joined = (
            (chat.backup_id == table.backup_id)
            & (chat.generation == table.generation)
            & (chat.number == of)
        )
        chosen = chosen.select_from(table).outerjoin(chat, joined)
        chosen = chosen.where(text != "")  # a message that says nothing is found by nobody
    # Kept apart: PostgreSQL inlines `headway_fold` for a column, and calls it for an expression,
    # which takes ten times as long.
    return chosen.offset(0).subquery()


def _together(texts: tuple[Any, ...]) -> _Element:
    """All texts that are there, one after the other; U+FFFC only marks where files stand."""
    first, *rest = [func.coalesce(text, "") for text in texts]
    whole: _Element = first
    for one in rest:
        whole = whole + "\n" + one
    return func.trim(func.replace(whole, "\ufffc", " "), " \n")


def _sqlite_terms(items: Subquery) -> _Element:
    return func.headway_fold_foreign(items.c.heading + " " + items.c.body, type_=Text())


def _postgresql_terms(items: Subquery, *, headed: bool) -> _Element:
    if not headed:
        return _vector(items.c.body, _LONGEST)
    heading = _vector(items.c.heading, _LONGEST_HEADING)
    named = func.setweight(heading, literal_column("'A'"))
    return named.op("||")(_vector(items.c.body, _LONGEST))


def _vector(text: _Element, longest: int) -> _Element:
    folded = func.substr(func.headway_fold(text), 1, longest)
    return func.to_tsvector(literal_column("'headway'"), folded)
