"""Whose token or session it is. Asked of the database once in a few seconds for each."""

import time
from uuid import UUID

from app.api.auth import User, hash_of
from app.core.errors import Unauthorized
from app.jobs.store.read import Reader

_SECONDS = 4.0  # a revoked token is dead within five in every process
_MOST = 10_000  # users remembered at once

_LIVE = "t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > {now})"
_USER = (
    "SELECT CAST(u.id AS text), u.name, u.is_admin FROM tokens t JOIN users u ON u.id = t.user_id"
)
_BEARER = f"{_USER} WHERE t.token_hash = ?1 AND {_LIVE}"
_SESSION = (
    f"{_USER} JOIN sessions s ON s.token_id = t.id "
    f"WHERE s.session_hash = ?1 AND s.expires_at > {{now}} AND {_LIVE}"
)


def bearer(token: str) -> str:
    """The credential that a token is; the token cannot be had back from it."""
    return f"bearer {hash_of(token)}"


def session(cookie: str) -> str:
    """The credential that a session's cookie is."""
    return f"session {hash_of(cookie)}"


class TokenCache:
    """Live credentials seen lately in this process. Unknown ones are not remembered."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[str, tuple[float, User]] = {}

    async def user_of(self, credential: str) -> User:
        """The user of a credential. Raises `Unauthorized` when it is not, or no longer, alive."""
        known = self._known.get(credential)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        asked = time.monotonic()
        kind, _, hashed = credential.partition(" ")
        found = await self._reader.rows(_BEARER if kind == "bearer" else _SESSION, hashed)
        if not found:
            self.forget(credential)
            raise Unauthorized(f"the {_NAMES[kind]} is unknown, expired or revoked")
        user = User(UUID(found[0][0]), found[0][1], bool(found[0][2]))
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[credential] = asked + _SECONDS, user
        return user

    def forget(self, credential: str) -> None:
        """Ask the database at its next use."""
        self._known.pop(credential, None)


_NAMES = {"bearer": "token", "session": "session"}
