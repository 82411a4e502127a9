"""What readers see of what was indexed: always through the live generation.

Each query compares with the pointer in its own statement (`generations.live`). How many there are
in all is on the pointer, written in the transaction that made them visible: nothing is counted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.backups import generations, views
from app.backups.items.base import File, Item
from app.backups.items.calendar import CalendarEvent, CalendarSheet
from app.backups.items.contacts import Contact
from app.backups.items.messages import Message, MessageAttachment, MessageConversation
from app.backups.items.notes import BackupNote
from app.backups.items.photos import PhotoAsset
from app.backups.items.whatsapp import WhatsAppAttachment, WhatsAppChat, WhatsAppMessage
from app.backups.views import Ids, View

Rows = Sequence[RowMapping]


@dataclass(frozen=True, slots=True)
class List:
    """One list of a backup: its rows, their order, and how they look."""

    domain: str
    counted: str  # among the pointer's counts
    table: type[Item]
    order: Any  # a column; rows that have none come last
    view: Callable[[RowMapping, Ids, Rows], View]
    newest_first: bool = False
    files: type[File] | None = None
    parent: Any = None  # a column: the chat that a message is in
    parent_kind: str = ""  # what the ids of parents are made with


LISTS: Mapping[str, List] = {
    "photos": List("photos", "photos", PhotoAsset, PhotoAsset.taken_at, views.photo),
    "conversations": List(
        "messages",
        "conversations",
        MessageConversation,
        MessageConversation.last_message_at,
        views.conversation,
        newest_first=True,
    ),
    "messages": List(
        "messages",
        "messages",
        Message,
        Message.sent_at,
        views.message,
        files=MessageAttachment,
        parent=Message.conversation,
        parent_kind="conversation",
    ),
    "whatsapp-chats": List(
        "whatsapp",
        "whatsapp_chats",
        WhatsAppChat,
        WhatsAppChat.last_message_at,
        views.whatsapp_chat,
        newest_first=True,
    ),
    "whatsapp-messages": List(
        "whatsapp",
        "whatsapp_messages",
        WhatsAppMessage,
        WhatsAppMessage.sent_at,
        views.whatsapp_message,
        files=WhatsAppAttachment,
        parent=WhatsAppMessage.chat,
        parent_kind="whatsapp_chat",
    ),
    "notes": List(
        "notes", "notes", BackupNote, BackupNote.modified_at, views.note, newest_first=True
    ),
    "calendars": List("calendar", "calendars", CalendarSheet, CalendarSheet.title, views.calendar),
    "events": List("calendar", "events", CalendarEvent, CalendarEvent.starts_at, views.event),
    "contacts": List("contacts", "contacts", Contact, Contact.display_name, views.contact),
}


async def page(
    session: AsyncSession,
    backup_id: UUID,
    listed: List,
    limit: int,
    offset: int,
    parent: UUID | None = None,
) -> tuple[list[View], int]:
    """Items of a list in their order, of one chat or of all, and how many there are."""
    ids, table = Ids(backup_id), listed.table
    mine = _live(table, backup_id, listed.domain)
    if parent is not None:
        number = ids[listed.parent_kind].number(parent)
        if number is None:
            return [], 0
        mine = (*mine, listed.parent == number)
    statement = (
        select(table.__table__).where(*mine).order_by(*_order(listed)).limit(limit).offset(offset)
    )
    rows = (await session.execute(statement)).mappings().all()
    files = await _files(session, backup_id, listed, [row["number"] for row in rows])
    items = [listed.view(row, ids, files.get(row["number"], [])) for row in rows]
    if parent is None:
        return items, await _total(session, backup_id, listed)
    count = select(func.count()).select_from(table).where(*mine)
    return items, (await session.execute(count)).scalar_one()


def _order(listed: List) -> tuple[ColumnElement[Any], ...]:
    # Where times are null, PostgreSQL has them last and SQLite first; an index serves neither
    # with an extra term, so the long lists keep what their database does.
    if listed.newest_first:
        return listed.order.is_(None), listed.order.desc(), listed.table.number.expression
    return listed.order, listed.table.number.expression


async def _files(
    session: AsyncSession, backup_id: UUID, listed: List, messages: Iterable[int]
) -> Mapping[int, list[RowMapping]]:
    """The files of some messages, in order, by message."""
    table = listed.files
    if table is None:
        return {}
    statement = (
        select(table.__table__)
        .where(*_live(table, backup_id, listed.domain), table.message.in_(list(messages)))
        .order_by(table.message, table.position)
    )
    found: dict[int, list[RowMapping]] = {}
    for row in (await session.execute(statement)).mappings():
        found.setdefault(row["message"], []).append(row)
    return found


def _live(
    table: type[Item] | type[File], backup_id: UUID, domain: str
) -> tuple[ColumnElement[bool], ...]:
    generation = generations.live(backup_id, domain)
    return table.backup_id == backup_id, table.generation == generation


async def _total(session: AsyncSession, backup_id: UUID, listed: List) -> int:
    pointers = await generations.pointers(session, backup_id, [listed.domain])
    return pointers[listed.domain].counts.get(listed.counted, 0)
