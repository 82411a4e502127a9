"""Idempotency-Key: the same request twice is one piece of work and one answer.

The key's row is inserted before the work, in the work's own transaction, so that the two are
committed together or not at all. A second request finds the row and repeats its answer; while
the first is still at work it waits a little. Between processes it waits on PostgreSQL's unique
index or SQLite's writer lock, inside one process on the first request itself.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from fastapi import Request, Response
from sqlalchemy import CursorResult, delete, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.limits import Limits
from app.api.models import IdempotencyKey as _Row
from app.api.reach import reach
from app.core.columns import new_id, now
from app.core.db import after_commit, on_sqlite
from app.core.errors import InFlight, Invalid

HEADER = "Idempotency-Key"
KEEP = timedelta(hours=48)
LONGEST = 255  # characters of a key
_PATIENCE = 2.0  # seconds a request waits for an equal one at work
_PRUNE_BATCH = 1000
_LOCKED = "55P03"  # PostgreSQL: lock_timeout ran out

Work = Callable[[], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose key it is, and for what."""

    user_id: UUID
    method: str
    route: str
    key: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it is stored, and repeated."""

    fingerprint: str
    status: int
    body: str
    media_type: str | None
    location: str | None


@dataclass(slots=True)
class _Turn:
    """One request at work in this process; `done` gives the answer once it is committed."""

    fingerprint: str
    done: asyncio.Future[Kept | None]


@dataclass(slots=True)
class InProcess:
    """The keyed requests at work in this process."""

    turns: dict[Scope, _Turn] = field(default_factory=dict)


class Door:
    """Holds a request's turn until its transaction has ended, however it ended."""

    def __init__(self, here: InProcess) -> None:
        self._here = here
        self._mine: tuple[Scope, _Turn] | None = None

    async def enter(self, scope: Scope, fingerprint: str) -> Kept | None:
        """Take the turn (None), or wait for the request that has it and give back its answer.

        Raises:
            Invalid: the key is at work for another request.
            InFlight: the wait was too long.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        while (turn := self._here.turns.get(scope)) is not None:
            _same(turn.fingerprint, fingerprint)
            try:
                async with asyncio.timeout_at(deadline):
                    kept = await asyncio.shield(turn.done)
            except TimeoutError as error:
                raise _in_flight() from error
            if kept is not None:
                return kept
        turn = _Turn(fingerprint, loop.create_future())
        self._here.turns[scope] = turn
        self._mine = scope, turn
        return None

    def finish(self, kept: Kept) -> None:
        """The answer is committed."""
        if self._mine is not None:
            self._mine[1].done.set_result(kept)

    def leave(self) -> None:
        """Let the next one in; without an answer it does the work itself."""
        if self._mine is None:
            return
        scope, turn = self._mine
        self._here.turns.pop(scope, None)
        if not turn.done.done():
            turn.done.set_result(None)


class Once:
    """What a route that writes asks for as `OnceDep`."""

    def __init__(self, request: Request, door: Door, limits: Limits, secret: bytes) -> None:
        self._request = request
        self._door = door
        self._limits = limits
        self._secret = secret

    async def answer(self, session: AsyncSession, payload: Any, work: Work) -> Response:
        """Do `work`, or repeat what an equal request under the same key was answered.

        Args:
            session: the request's own, in which `work` writes too.
            payload: what makes two requests equal, as JSON; kept only as an HMAC. For an
                upload: field names, file names and the sha256 of each file.
            work: does it and gives the answer; not called for a repeated request. An answer
                of 400 or above is not kept.

        Raises:
            Invalid: the key is too long, or was used for another request.
            InFlight: an equal request is at work and takes long.
            TooMany: a limit of this user is reached (routes that start work).
        """
        key = self._request.headers.get(HEADER)
        if key is None:
            await reach(session)
            await self._check_limits(session)
            return await work()
        scope = Scope(self._limits.user_id, self._request.method, self._route(), _checked(key))
        fingerprint = self._fingerprint(payload)
        kept = await self._door.enter(scope, fingerprint)
        if kept is None:
            await reach(session)
            kept = await _claim(session, scope, fingerprint)
        if kept is not None:
            _same(kept.fingerprint, fingerprint)
            return _replay(kept)
        await self._check_limits(session)
        response = await work()
        await self._keep(session, scope, fingerprint, response)
        return response

    async def _check_limits(self, session: AsyncSession) -> None:
        if getattr(self._request.state, "starts_work", False):
            await self._limits.check(session)

    def _route(self) -> str:
        route = self._request.scope.get("route")
        return str(getattr(route, "path_format", None) or self._request.url.path)[:200]

    def _fingerprint(self, payload: Any) -> str:
        """The path belongs to it: the same key for another id is another request."""
        whole = [self._request.url.path, self._request.url.query, payload]
        text_of = msgspec.json.encode(whole, enc_hook=str, order="sorted")
        return hmac.new(self._secret, b"idempotency\0" + text_of, "sha256").hexdigest()

    async def _keep(
        self, session: AsyncSession, scope: Scope, fingerprint: str, response: Response
    ) -> None:
        row = _where(scope)
        if response.status_code >= 400:
            await session.execute(delete(_Row).where(*row))
            return
        kept = Kept(
            fingerprint,
            response.status_code,
            bytes(response.body).decode(),
            response.media_type,
            response.headers.get("location"),
        )
        values = {"status": kept.status, "body": kept.body}
        values |= {"media_type": kept.media_type, "location": kept.location}
        await session.execute(update(_Row).where(*row).values(**values))
        after_commit(session, partial(self._door.finish, kept))


async def prune(session: AsyncSession) -> int:
    """Forget one batch of answers that are past their time; how many."""
    old = select(_Row.id).where(_Row.created_at <= await _oldest(session)).limit(_PRUNE_BATCH)
    result = await session.execute(delete(_Row).where(_Row.id.in_(old)))
    return result.rowcount if isinstance(result, CursorResult) else 0


async def _claim(session: AsyncSession, scope: Scope, fingerprint: str) -> Kept | None:
    """Insert the key's row (None), or give back the answer that stands there."""
    if not on_sqlite(session):
        await session.execute(text(f"SET LOCAL lock_timeout = {int(_PATIENCE * 1000)}"))
    while True:
        if await _inserted(session, scope, fingerprint):
            return None
        columns = (_Row.fingerprint, _Row.status, _Row.body, _Row.media_type, _Row.location)
        fresh = _Row.created_at > await _oldest(session)
        found = (await session.execute(select(*columns).where(*_where(scope), fresh))).one_or_none()
        if found is not None:
            status = found.status or 0
            return Kept(found.fingerprint, status, found.body or "", *found[3:])
        await session.execute(delete(_Row).where(*_where(scope), ~fresh))


async def _inserted(session: AsyncSession, scope: Scope, fingerprint: str) -> bool:
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    statement = (
        dialect.insert(_Row)
        .values(
            id=new_id(),
            user_id=scope.user_id,
            method=scope.method,
            route=scope.route,
            key=scope.key,
            fingerprint=fingerprint,
            created_at=now(),
        )
        .on_conflict_do_nothing()
        .returning(_Row.id)
    )
    try:
        return (await session.execute(statement)).first() is not None
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCKED:
            raise _in_flight() from error
        raise


async def _oldest(session: AsyncSession) -> Any:
    """The moment before which answers are forgotten, on the database's clock."""
    return (await session.execute(select(now()))).scalar_one() - KEEP


def _where(scope: Scope) -> tuple[Any, ...]:
    return (
        _Row.user_id == scope.user_id,
        _Row.method == scope.method,
        _Row.route == scope.route,
        _Row.key == scope.key,
    )


def _checked(key: str) -> str:
    if not 0 < len(key) <= LONGEST or not key.isprintable():
        raise Invalid(f"{HEADER} must have 1 to {LONGEST} printable characters")
    return key


def _same(stored: str, given: str) -> None:
    if not hmac.compare_digest(stored, given):
        raise Invalid(f"this {HEADER} was used for another request", code="idempotency_key_reused")


def _in_flight() -> InFlight:
    return InFlight("an equal request is at work", retry_after=1)


def _replay(kept: Kept) -> Response:
    headers = {"Idempotency-Replayed": "true"}
    if kept.location is not None:
        headers["Location"] = kept.location
    if kept.status == 202:
        headers["Retry-After"] = "1"
    return Response(kept.body or None, kept.status, headers, kept.media_type)
