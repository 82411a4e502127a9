"""All SQL on token usage: plain functions, the session first, nobody here commits.

A reservation is made and settled in one statement each; the totals follow inside that statement
by the triggers of `models.py`. What time and what day it is, the database says.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Date, cast, func, insert, select, true, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import now
from app.core.db import on_sqlite
from app.core.errors import NotFound
from app.jobs.store.moves import from_now
from app.usage.models import ReservationStatus, TokenReservation, WorkspaceDailyUsage

_Row = TokenReservation
_AT_ONCE = 500  # freed per transaction: a longer one would hold SQLite's only lock


@dataclass(frozen=True, slots=True)
class Usage:
    """The totals of one day (UTC)."""

    day: date
    tokens_used: int
    tokens_reserved: int


async def reserve(session: AsyncSession, owner_id: UUID, workspace: str, tokens: int) -> UUID:
    """Set tokens of today aside; the reservation's id."""
    statement = insert(_Row).values(
        owner_id=owner_id,
        workspace=workspace,
        day=_today(session),
        status=ReservationStatus.HELD,
        tokens=tokens,
        created_at=now(),
    )
    return (await session.execute(statement.returning(_Row.id))).scalar_one()


async def settle(
    session: AsyncSession,
    reservation_id: UUID,
    owner_id: UUID | None,
    workspace: str,
    tokens_used: int,
) -> TokenReservation:
    """Count what was used and let go of what was set aside, once.

    A second settlement changes nothing and gives back the first one. After its expiry nothing is
    set aside any more, so only the used tokens are counted. `owner_id` None: an admin.

    Raises:
        NotFound: no such reservation in this workspace, or not the caller's.
    """
    mine = (_Row.id == reservation_id, _Row.workspace == workspace, _seen(_Row.owner_id, owner_id))
    first = (
        update(_Row)
        .where(*mine, _Row.tokens_used.is_(None))
        .values(status=ReservationStatus.SETTLED, tokens_used=tokens_used, settled_at=now())
        .returning(_Row)
    )
    found: TokenReservation | None = await session.scalar(first)
    if found is None:
        found = await session.scalar(select(_Row).where(*mine))
    if found is None:
        raise NotFound("there is no such reservation")
    return found


async def usage(
    session: AsyncSession, owner_id: UUID | None, workspace: str, day: date | None
) -> Usage:
    """The totals of a workspace on `day` (None: today). `owner_id` None: of all who use it."""
    total = WorkspaceDailyUsage
    if day is None:
        day = await session.scalar(select(_today(session)))
        assert day is not None
    statement = select(
        cast(func.coalesce(func.sum(total.tokens_used), 0), total.tokens_used.type),
        cast(func.coalesce(func.sum(total.tokens_reserved), 0), total.tokens_reserved.type),
    ).where(total.workspace == workspace, total.day == day, _seen(total.owner_id, owner_id))
    used, reserved = (await session.execute(statement)).one()
    return Usage(day, used, reserved)


async def expire_stale(session: AsyncSession, ttl_seconds: float) -> int:
    """Free one batch of what is held for longer than `ttl_seconds`; how many reservations.

    Those that are being settled at this moment are left to their settlement.
    """
    stale = (
        select(_Row.id)
        .where(
            _Row.status == ReservationStatus.HELD,
            _Row.created_at < from_now(session, -ttl_seconds),
        )
        .order_by(_Row.created_at)
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    ids = list(await session.scalars(stale))
    if ids:
        freed = update(_Row).where(_Row.id.in_(ids))
        await session.execute(freed.values(status=ReservationStatus.EXPIRED, expired_at=now()))
    return len(ids)


def _today(session: AsyncSession) -> ColumnElement[date]:
    if on_sqlite(session):
        return type_coerce(func.substr(now(), 1, 10), Date())
    return cast(func.timezone("UTC", now()), Date)


def _seen(column: Any, owner_id: UUID | None) -> ColumnElement[bool]:
    return true() if owner_id is None else column == owner_id
