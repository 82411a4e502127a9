"""Whose token it is. Asked of the database once in a few seconds per token."""

import time
from uuid import UUID

from app.api.auth import User, hash_of
from app.core.errors import Unauthorized
from app.jobs.store.read import Reader

_SECONDS = 4.0  # a revoked token is dead within five in every process
_MOST = 10_000  # users remembered at once

_SQL = (
    "SELECT CAST(u.id AS text), u.name, u.is_admin FROM tokens t JOIN users u ON u.id = t.user_id "
    "WHERE t.token_hash = ?1 AND t.revoked_at IS NULL "
    "AND (t.expires_at IS NULL OR t.expires_at > {now})"
)


class TokenCache:
    """Live tokens seen lately in this process. Unknown ones are not remembered."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[str, tuple[float, User]] = {}

    async def user_of(self, authorization: str | None) -> User:
        """The user of an `Authorization` header. Raises `Unauthorized`."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("send a token: Authorization: Bearer …")
        hashed = hash_of(token)
        known = self._known.get(hashed)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        asked = time.monotonic()
        found = await self._reader.rows(_SQL, hashed)
        if not found:
            self._known.pop(hashed, None)
            raise Unauthorized("the token is unknown, expired or revoked")
        user = User(UUID(found[0][0]), found[0][1], bool(found[0][2]))
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[hashed] = asked + _SECONDS, user
        return user
