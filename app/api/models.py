"""Who may call, and which requests were answered under an Idempotency-Key."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.columns import Id, UtcDateTime, new_id
from app.core.db import Base


class UserRow(Base):
    """A person, or a program that acts for one."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    is_admin: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TokenRow(Base):
    """One bearer token, of which only the hash is kept."""

    __tablename__ = "tokens"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(Id, ForeignKey("users.id"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)  # sha256, hexadecimal
    hint: Mapped[str] = mapped_column(String(8))  # its last characters, to tell tokens apart
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_tokens_user_id", "user_id"),)


class SessionRow(Base):
    """A browser that somebody signed in with a token; it ends with the token."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    token_id: Mapped[UUID] = mapped_column(Id)  # without its token a session is nothing
    session_hash: Mapped[str] = mapped_column(String(64), unique=True)  # sha256, hexadecimal
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_sessions_token_id", "token_id"),
        Index("ix_sessions_expires_at", "expires_at"),
    )


class IdempotencyKey(Base):
    """The answer to one request, kept for those who ask it again under the same key."""

    __tablename__ = "idempotency_keys"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(Id)
    method: Mapped[str] = mapped_column(String(8))
    route: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(String(255))
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None] = mapped_column(Integer)  # NULL only inside its own transaction
    body: Mapped[str | None] = mapped_column(Text)
    media_type: Mapped[str | None] = mapped_column(String(100))
    location: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("user_id", "method", "route", "key"),
        Index("ix_idempotency_keys_created_at", "created_at"),
    )
