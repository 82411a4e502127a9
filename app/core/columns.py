"""Column types that both databases share, ids, and the database's clock in SQL.

Times are aware UTC everywhere. PostgreSQL keeps them as `timestamptz`, SQLite as the text that
goes over the wire, which sorts in the order of time. Ids are UUIDs, on SQLite as their 36
characters. What time it is, is asked of the database: `now()` and `due_now()`.
"""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import CHAR, JSON, BigInteger, Dialect, Float, Integer, String
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from app.core.clock import utcnow, wire


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime, to the microsecond; a naive one is refused."""

    impl = postgresql.TIMESTAMP(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite, `timestamptz` elsewhere."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse a time without a zone: whose clock would it be?"""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return wire(value) if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Aware UTC, whatever the driver gave."""
        if value is None:
            return None
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        return found.astimezone(UTC)


class Id(TypeDecorator[uuid.UUID]):
    """A UUID; on SQLite its 36 characters, so that a person can paste one into a query."""

    impl = CHAR(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`uuid` on PostgreSQL, text on SQLite."""
        kind: TypeEngine[Any] = CHAR(36) if dialect.name == "sqlite" else postgresql.UUID()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: uuid.UUID | str | None, dialect: Dialect) -> Any:
        """Accept a UUID or its text."""
        if value is None:
            return None
        found = value if isinstance(value, uuid.UUID) else uuid.UUID(value)
        return str(found) if dialect.name == "sqlite" else found

    def process_result_value(self, value: Any, dialect: Dialect) -> uuid.UUID | None:
        """A UUID object on both dialects."""
        return value if value is None or isinstance(value, uuid.UUID) else uuid.UUID(value)


Json = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
BigSerial = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER keys
LeaseEnd = Float().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


class now(FunctionElement[datetime]):  # noqa: N801 -- reads as the SQL function that it is
    """The database's clock at this very moment: what is stored."""

    type = UtcDateTime()
    inherit_cache = True


class due_now(FunctionElement[datetime]):  # noqa: N801
    """The database's clock at the start of the statement: what an index can be compared with."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(now, "postgresql")
def _now_postgresql(_element: Any, _compiler: Any, **_kw: Any) -> str:
    return "clock_timestamp()"


@compiles(due_now, "postgresql")
def _due_now_postgresql(_element: Any, _compiler: Any, **_kw: Any) -> str:
    return "statement_timestamp()"


@compiles(now, "sqlite")
@compiles(due_now, "sqlite")
def _now_sqlite(_element: Any, _compiler: Any, **_kw: Any) -> str:
    return "headway_now()"


def new_id() -> uuid.UUID:
    """A UUIDv7: sorts by the time it was made, as far as the hosts' clocks agree."""
    milliseconds = int(utcnow().timestamp() * 1000)
    noise = uuid.uuid4().int
    value = (milliseconds << 80) | (0x7 << 76) | (((noise >> 64) & 0xFFF) << 64)
    value |= (0b10 << 62) | (noise & ((1 << 62) - 1))
    return uuid.UUID(int=value)
