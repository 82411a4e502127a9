"""Bearer tokens: made and revoked by the command line, of which only the sha256 is kept."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import String, cast, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.models import TokenRow, UserRow
from app.core.columns import new_id, now
from app.core.db import on_sqlite
from app.core.errors import Conflict, Invalid, NotFound

_PREFIX = "hw_"  # so that a token is recognised where it should not be
_RANDOM_BYTES = 32
_HINT = 4  # last characters that are kept
_LONGEST_NAME = 64
_SHORTEST_PREFIX = 4  # of a token's id, when it is named by its beginning


@dataclass(frozen=True, slots=True)
class User:
    """Who is calling."""

    id: UUID
    name: str
    is_admin: bool


def owner_of(user: User) -> UUID | None:
    """Whose rows `user` sees: their own, or everybody's (None) for an admin."""
    return None if user.is_admin else user.id


def hash_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


async def create_token(
    session: AsyncSession, name: str, *, admin: bool = False, days: float | None = None
) -> str:
    """Make one more token for the user `name`, who is made if new.

    Args:
        session: an open transaction.
        name: of the user; also the name of their folder below BACKUP_ROOTS.
        admin: makes the user an admin; without it a known user stays what they are.
        days: until the token expires; None means never.

    Returns:
        The token itself. It can never be shown again.
    """
    user_id = await _user(session, _checked_name(name), admin=admin)
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    moment = (await session.execute(select(now()))).scalar_one()
    if days is not None and not 0 < days <= 36500:
        raise Invalid("days must be more than 0 and at most 36500")
    values = {
        "id": new_id(),
        "user_id": user_id,
        "token_hash": hash_of(token),
        "hint": token[-_HINT:],
        "created_at": moment,
        "expires_at": None if days is None else moment + timedelta(days=days),
    }
    await session.execute(insert(TokenRow).values(**values))
    return token


async def list_tokens(session: AsyncSession) -> list[dict[str, Any]]:
    """All tokens, oldest first: id, user, admin, hint, created_at, expires_at, revoked_at."""
    statement = (
        select(
            TokenRow.id,
            UserRow.name.label("user"),
            UserRow.is_admin.label("admin"),
            TokenRow.hint,
            TokenRow.created_at,
            TokenRow.expires_at,
            TokenRow.revoked_at,
        )
        .join(UserRow, UserRow.id == TokenRow.user_id)
        .order_by(TokenRow.created_at, TokenRow.id)
    )
    return [dict(row._mapping) for row in (await session.execute(statement)).all()]  # noqa: SLF001


async def revoke_token(session: AsyncSession, token_id_or_prefix: UUID | str) -> UUID:
    """End a token, named by its id or the beginning of it; within 5 s it is dead everywhere.

    Raises:
        NotFound: no token has such an id.
        Conflict: more than one id begins like this.
    """
    wanted = str(token_id_or_prefix).strip().lower()
    if len(wanted) < _SHORTEST_PREFIX:
        raise Invalid(f"give at least {_SHORTEST_PREFIX} characters of the token's id")
    begins = cast(TokenRow.id, String).startswith(wanted, autoescape=True)
    found = list((await session.execute(select(TokenRow.id).where(begins).limit(2))).scalars())
    if not found:
        raise NotFound("there is no such token")
    if len(found) > 1:
        raise Conflict("more than one token's id begins like this")
    statement = update(TokenRow).where(TokenRow.id == found[0], TokenRow.revoked_at.is_(None))
    await session.execute(statement.values(revoked_at=now()))
    return found[0]


async def _user(session: AsyncSession, name: str, *, admin: bool) -> UUID:
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    statement = dialect.insert(UserRow).values(
        id=new_id(), name=name, is_admin=admin, created_at=now()
    )
    await session.execute(statement.on_conflict_do_nothing(index_elements=["name"]))
    if admin:
        await session.execute(update(UserRow).where(UserRow.name == name).values(is_admin=True))
    return (await session.execute(select(UserRow.id).where(UserRow.name == name))).scalar_one()


def _checked_name(name: str) -> str:
    """A name is a folder's name too, so it may not lead anywhere."""
    allowed = all(letter.isalnum() or letter in "._@-" for letter in name)
    if not 0 < len(name) <= _LONGEST_NAME or not allowed or name.startswith("."):
        raise Invalid("a user's name has 1 to 64 letters, digits, dots, dashes, _ or @")
    return name
