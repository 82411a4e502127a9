"""The tables of token usage, and the triggers that keep the one the sum of the other.

`workspace_daily_usage` is changed by no statement of ours: the database itself adds and subtracts
whatever a reservation gains or loses, in the statement that changes the reservation.
"""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Date,
    Index,
    String,
    event,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.columns import Id, UtcDateTime, new_id
from app.core.db import Base


class ReservationStatus(StrEnum):
    """Where a reservation stands. A late settlement makes an expired one settled."""

    HELD = "held"
    SETTLED = "settled"
    EXPIRED = "expired"


class WorkspaceDailyUsage(Base):
    """What one workspace of one user has used and has reserved on one day (UTC)."""

    __tablename__ = "workspace_daily_usage"

    owner_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    workspace: Mapped[str] = mapped_column(String(100), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    tokens_used: Mapped[int] = mapped_column(BigInteger, server_default="0")
    tokens_reserved: Mapped[int] = mapped_column(BigInteger, server_default="0")

    __table_args__ = (
        CheckConstraint("tokens_used >= 0", name="tokens_used"),
        CheckConstraint("tokens_reserved >= 0", name="tokens_reserved"),
    )


class TokenReservation(Base):
    """Tokens set aside until it is known how many were used."""

    __tablename__ = "token_reservations"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    owner_id: Mapped[UUID] = mapped_column(Id)
    workspace: Mapped[str] = mapped_column(String(100))
    day: Mapped[date] = mapped_column(Date)  # of the reservation, also when it is settled later
    status: Mapped[str] = mapped_column(String(16), server_default="held")
    tokens: Mapped[int] = mapped_column(BigInteger)
    tokens_used: Mapped[int | None] = mapped_column(BigInteger)  # set once, by the settlement
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("status IN ('held', 'settled', 'expired')", name="status"),
        Index(
            "ix_token_reservations_held",
            "created_at",
            postgresql_where=text("status = 'held'"),
            sqlite_where=text("status = 'held'"),
        ),
    )


_ADD = """
INSERT INTO workspace_daily_usage (owner_id, workspace, day, tokens_used, tokens_reserved)
VALUES (new.owner_id, new.workspace, new.day, 0, new.tokens)
ON CONFLICT (owner_id, workspace, day) DO UPDATE
SET tokens_reserved = workspace_daily_usage.tokens_reserved + excluded.tokens_reserved;"""
_MOVE = """
UPDATE workspace_daily_usage SET
  tokens_reserved = tokens_reserved
    - CASE WHEN old.status = 'held' THEN old.tokens ELSE 0 END
    + CASE WHEN new.status = 'held' THEN new.tokens ELSE 0 END,
  tokens_used = tokens_used - coalesce(old.tokens_used, 0) + coalesce(new.tokens_used, 0)
WHERE owner_id = new.owner_id AND workspace = new.workspace AND day = new.day;"""

TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER token_reservations_added AFTER INSERT ON token_reservations "
        f"BEGIN {_ADD} END",
        "CREATE TRIGGER token_reservations_moved AFTER UPDATE ON token_reservations "
        f"BEGIN {_MOVE} END",
    ),
    "postgresql": (
        "CREATE FUNCTION add_token_reservation() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {_ADD} RETURN NULL; END $$",
        "CREATE TRIGGER token_reservations_added AFTER INSERT ON token_reservations "
        "FOR EACH ROW EXECUTE FUNCTION add_token_reservation()",
        "CREATE FUNCTION move_token_reservation() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {_MOVE} RETURN NULL; END $$",
        "CREATE TRIGGER token_reservations_moved AFTER UPDATE ON token_reservations "
        "FOR EACH ROW EXECUTE FUNCTION move_token_reservation()",
    ),
}
for _dialect, _statements in TRIGGERS.items():
    for _statement in _statements:
        _made = DDL(_statement).execute_if(dialect=_dialect)  # type: ignore[no-untyped-call]
        event.listen(TokenReservation.__table__, "after_create", _made)
