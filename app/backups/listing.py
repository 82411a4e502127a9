"""What readers see of what was indexed: always through the live generation.

Each query compares with the pointer in its own statement (`generations.live`). How many there are
in all is on the pointer, written in the transaction that made them visible: nothing is counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import ColumnElement

from app.backups import generations
from app.backups.models import Message, MessageAttachment, MessageConversation

_DOMAIN = "messages"


async def conversations(
    session: AsyncSession, backup_id: UUID, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Chats, the one with the newest message first, and how many there are."""
    table = MessageConversation
    mine = _live(table, backup_id)
    statement = (
        select(table.__table__)
        .where(*mine)
        .order_by(table.last_message_at.is_(None), table.last_message_at.desc(), table.number)
        .limit(limit)
        .offset(offset)
    )
    rows = (await session.execute(statement)).mappings().all()
    return rows, await _total(session, backup_id, "conversations")


async def messages(
    session: AsyncSession, backup_id: UUID, conversation: int | None, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Messages in the order of their times, of one chat or of all, and how many there are."""
    table = Message
    mine = _live(table, backup_id)
    if conversation is not None:
        mine = (*mine, table.conversation == conversation)
    statement = (
        select(table.__table__)
        .where(*mine)
        .order_by(table.sent_at, table.number)
        .limit(limit)
        .offset(offset)
    )
    rows = (await session.execute(statement)).mappings().all()
    if conversation is None:
        return rows, await _total(session, backup_id, "messages")
    count = select(func.count()).select_from(table).where(*mine)
    return rows, (await session.execute(count)).scalar_one()


async def attachments(
    session: AsyncSession, backup_id: UUID, messages: Iterable[int]
) -> Mapping[int, list[RowMapping]]:
    """The files of some messages, in order, by message."""
    table = MessageAttachment
    statement = (
        select(table.__table__)
        .where(*_live(table, backup_id), table.message.in_(list(messages)))
        .order_by(table.message, table.position)
    )
    found: dict[int, list[RowMapping]] = {}
    for row in (await session.execute(statement)).mappings():
        found.setdefault(row["message"], []).append(row)
    return found


def _live(table: Any, backup_id: UUID) -> tuple[ColumnElement[bool], ...]:
    generation = generations.live(backup_id, _DOMAIN)
    return table.backup_id == backup_id, table.generation == generation


async def _total(session: AsyncSession, backup_id: UUID, counted: str) -> int:
    return (await generations.pointer(session, backup_id, _DOMAIN)).counts.get(counted, 0)
