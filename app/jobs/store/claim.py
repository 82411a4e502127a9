"""Taking queued jobs: the one statement by which a worker comes to own work.

Rows without a lane are taken in the order of the ready index. Of a lane only the head is ever
looked at: the first due queued row by priority and arrival, and only while no row of the lane
runs. Heads are found without locks by hopping from lane to lane through an index, and locked
by key afterwards, so nobody considers the second row of a lane and a locked head means that
the lane is skipped. The unique index on running lanes is the proof, not the mechanism.

At most `LANES` lanes of a queue are looked at per call; the place to go on from is handed back.
Lanes with urgent work (priority above 0) are looked at whole, every time.
"""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import boot_id
from app.core.columns import new_id
from app.core.db import Database, fetch, on_sqlite
from app.core.hot import SqliteTrips
from app.jobs.store.claim_sql import (
    COLUMNS,
    TELL_SQLITE,
    UPDATE_SQLITE,
    claim_sql,
    suspect_sql,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this process owns for as long as its lease token stands.

    The fields are the columns of `claim_sql.COLUMNS`, in that order.
    """

    id: UUID
    kind: str
    queue: str
    lane: str | None
    args: dict[str, Any]
    cursor: Any
    attempt: int
    max_attempts: int
    lapses: int
    priority: int
    owner_id: UUID | None
    parent_id: UUID | None
    stage: str | None
    total_items: int | None
    processed_items: int
    failed_items: int
    progress_percent: int
    lease_token: UUID
    started_at: datetime
    run_after: datetime
    seq: int


@dataclass(slots=True)
class Wanted:
    """Whose work a worker asks for.

    `hooked` are the kinds whose claim moves something else in the same transaction. `after` is
    where the hop over the lanes of each queue goes on, `hot` whether to try the short way first.
    """

    queues: Sequence[str]
    kinds: Sequence[str]
    worker_id: str
    lease_seconds: float
    hooked: Sequence[str] = ()
    after: dict[str, str] = field(default_factory=dict)
    hot: bool = True


@dataclass(frozen=True, slots=True)
class Due:
    """Ask for up to `limit` due jobs, best first."""

    limit: int


@dataclass(frozen=True, slots=True)
class Rung:
    """Ask for the jobs that were rung for, as far as they are due and free.

    A row with a lane stands for its lane: its head is taken, whichever row was rung.
    """

    ids: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class Suspect:
    """Ask for one due job whose last attempt lost its worker.

    Such a job may be what killed the worker, so a process runs one of them at a time.
    """


Ask = Due | Rung | Suspect
Spoiled = Mapping[UUID, Exception]
Tell = Callable[[AsyncSession, Sequence[Claim]], Awaitable[Spoiled]]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim brought: the jobs by priority, due time and arrival.

    `more` is whether lanes were left unlooked at: then call again soon, because `Wanted.after`
    has moved. `spoiled` are the claims whose hook failed, with its error.
    """

    claims: list[Claim]
    more: bool = False
    spoiled: Spoiled = field(default_factory=dict)


async def claim(db: Database, wanted: Wanted, ask: Ask, tell: Tell) -> Taken:
    """Take jobs, in one transaction with what `tell` does for those that have hooks.

    The short way is one trip without a session. When it meets a kind with a hook it takes
    nothing, and the claim is made in a session; the next one begins there, until a claim has
    met no hook.
    """
    query = _query(ask, wanted, db.is_sqlite)
    found = await _at_once(db, query) if wanted.hot else None
    spoiled: Spoiled = {}
    if found is None:
        async with db.transaction() as session:
            found = await _in_session(session, query)
            spoiled = await tell(session, found.claims)
    wanted.hot = not any(each.kind in wanted.hooked for each in found.claims)
    if not isinstance(ask, Due):
        return Taken(found.claims, spoiled=spoiled)
    for queue, place in zip(wanted.queues, found.places, strict=True):
        wanted.after[queue] = place or ""
    return Taken(found.claims, any(found.places), spoiled)


@dataclass(frozen=True, slots=True)
class _Query:
    sql: str
    values: dict[str, Any]
    hooked: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Found:
    claims: list[Claim]
    places: list[str]


def _query(ask: Ask, wanted: Wanted, sqlite: bool) -> _Query:
    values: dict[str, Any] = {
        "kinds": list(wanted.kinds),
        "worker": wanted.worker_id,
        "lease": wanted.lease_seconds,
    }
    if isinstance(ask, Rung):
        values |= {"ids": [str(job_id) for job_id in ask.ids], "limit": len(ask.ids)}
        return _Query(claim_sql(0, True, sqlite), values, wanted.hooked)
    values |= {f"queue_{n}": queue for n, queue in enumerate(wanted.queues)}
    if isinstance(ask, Suspect):
        return _Query(suspect_sql(len(wanted.queues), sqlite), values, wanted.hooked)
    values |= {f"after_{n}": wanted.after.get(q, "") for n, q in enumerate(wanted.queues)}
    values |= {"limit": ask.limit}
    return _Query(claim_sql(len(wanted.queues), False, sqlite), values, wanted.hooked)


async def _at_once(db: Database, query: _Query) -> _Found | None:
    """Claim in one trip; None when a kind with a hook stands in the way and nothing was taken."""
    if isinstance(db.hot, SqliteTrips):

        def work(connection: sqlite3.Connection) -> _Found | None:
            def run(sql: str, values: Mapping[str, Any]) -> list[Any]:
                return connection.execute(sql, values).fetchall()

            picked = run(query.sql, _pick_values(query))
            if any(row[1] in query.hooked for row in picked):
                return None
            seqs, places = _picked(picked)
            if not seqs:
                return _Found([], places)
            update, told = _update_values(query, seqs)
            claims = _read_sqlite(run(UPDATE_SQLITE, update))
            run(TELL_SQLITE, told)
            return _Found(claims, places)

        return await db.hot.write(work, durable=False)
    values = query.values | {"hooked": list(query.hooked)}
    rows = await db.hot.fetch(query.sql, values, durable=False)
    if rows[0]["held"]:
        return None
    return _read_postgresql(rows)


async def _in_session(session: AsyncSession, query: _Query) -> _Found:
    if not on_sqlite(session):
        rows = (await session.execute(text(query.sql), query.values | {"hooked": []})).all()
        return _read_postgresql(rows)
    seqs, places = _picked(await fetch(session, query.sql, _pick_values(query)))
    if not seqs:
        return _Found([], places)
    update, told = _update_values(query, seqs)
    claims = _read_sqlite(await fetch(session, UPDATE_SQLITE, update))
    await fetch(session, TELL_SQLITE, told)
    return _Found(claims, places)


def _pick_values(query: _Query) -> dict[str, Any]:
    return {n: json.dumps(v) if isinstance(v, list) else v for n, v in query.values.items()}


def _picked(rows: Sequence[Any]) -> tuple[list[int], list[str]]:
    return [row[0] for row in rows if row[0] is not None], list(rows[0][2:]) if rows else []


def _update_values(query: _Query, seqs: list[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    update = {
        "tokens": json.dumps({str(seq): str(new_id()) for seq in seqs}),
        "worker": query.values["worker"],
        "lease": query.values["lease"],
        "boot": boot_id(),
        "seqs": json.dumps(seqs),
    }
    return update, {"seqs": update["seqs"]}


def _read_postgresql(rows: Sequence[Any]) -> _Found:
    taken = [row[: len(COLUMNS)] for row in rows if row[0] is not None]
    claims = [
        Claim(*(_FROM_POSTGRESQL.get(n, _same)(v) for n, v in zip(COLUMNS, row, strict=True)))
        for row in taken
    ]
    return _Found(sorted(claims, key=_rank), list(rows[0][len(COLUMNS) + 1 :]))


def _read_sqlite(rows: Sequence[Any]) -> list[Claim]:
    claims = [
        Claim(*(_FROM_SQLITE.get(n, _same)(v) for n, v in zip(COLUMNS, row, strict=True)))
        for row in rows
    ]
    return sorted(claims, key=_rank)


def _rank(claim: Claim) -> tuple[int, datetime, int]:
    return -claim.priority, claim.run_after, claim.seq


def _same(value: Any) -> Any:
    return value


def _uuid(value: Any) -> UUID | None:
    return None if value is None else UUID(value)


def _json(value: Any) -> Any:
    # A JSON column's affinity in SQLite turns a bare number into one.
    return json.loads(value) if isinstance(value, str) else value


_FROM_POSTGRESQL: dict[str, Callable[[Any], Any]] = {"args": _json, "cursor": _json}
_FROM_SQLITE: dict[str, Callable[[Any], Any]] = {
    "id": UUID,
    "lease_token": UUID,
    "owner_id": _uuid,
    "parent_id": _uuid,
    "args": _json,
    "cursor": _json,
    "started_at": datetime.fromisoformat,
    "run_after": datetime.fromisoformat,
}
