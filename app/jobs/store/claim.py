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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import TextualSelect, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import boot_id
from app.core.db import new_id, on_sqlite
from app.jobs.models import BackgroundJob
from app.jobs.store.claim_sql import COLUMNS, UPDATE_SQLITE, claim_sql, suspect_sql

_TABLE = BackgroundJob.__table__


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job that this process owns for as long as its lease token stands."""

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
    """Whose work, and how much of it, a worker asks for.

    `after` is where the hop over the lanes of each queue goes on; `claim` moves it.
    """

    queues: Sequence[str]
    kinds: Sequence[str]
    worker_id: str
    lease_seconds: float
    after: dict[str, str] = field(default_factory=dict)


async def claim(session: AsyncSession, wanted: Wanted, limit: int) -> tuple[list[Claim], bool]:
    """Take up to `limit` due jobs of the wanted queues and kinds, best first.

    Returns:
        The claims by priority, due time and arrival, and whether lanes were left unlooked at:
        then call again soon, because `wanted.after` has moved.
    """
    named = {f"queue_{n}": queue for n, queue in enumerate(wanted.queues)}
    afters = {f"after_{n}": wanted.after.get(queue, "") for n, queue in enumerate(wanted.queues)}
    values = {**named, **afters, "limit": limit}
    rows, places = await _take(session, len(wanted.queues), False, wanted, values)
    more = False
    for queue, place in zip(wanted.queues, places, strict=True):
        wanted.after[queue] = place or ""
        more = more or bool(place)
    return rows, more


async def claim_rung(session: AsyncSession, wanted: Wanted, ids: Sequence[UUID]) -> list[Claim]:
    """Take the jobs that were rung for, as far as they are due and free.

    A row with a lane stands for its lane: its head is taken, whichever row was rung.
    """
    values = {"ids": [str(job_id) for job_id in ids], "limit": len(ids)}
    rows, _places = await _take(session, 0, True, wanted, values)
    return rows


async def claim_suspect(session: AsyncSession, wanted: Wanted) -> Claim | None:
    """Take one due job whose last attempt lost its worker, or None.

    Such a job may be what killed the worker, so a process runs one of them at a time.
    """
    sqlite = on_sqlite(session)
    queues = {f"queue_{n}": queue for n, queue in enumerate(wanted.queues)}
    claims = await _run(session, suspect_sql(len(wanted.queues), sqlite), wanted, queues, sqlite)
    return claims[0][0] if claims[0] else None


async def _take(
    session: AsyncSession, queues: int, rung: bool, wanted: Wanted, values: Mapping[str, Any]
) -> tuple[list[Claim], list[str]]:
    sqlite = on_sqlite(session)
    return await _run(session, claim_sql(queues, rung, sqlite), wanted, values, sqlite)


async def _run(
    session: AsyncSession, sql: str, wanted: Wanted, values: Mapping[str, Any], sqlite: bool
) -> tuple[list[Claim], list[str]]:
    """Run a claim: one statement on PostgreSQL, three in one transaction on SQLite."""
    given: dict[str, Any] = {
        **values,
        "kinds": list(wanted.kinds),
        "worker": wanted.worker_id,
        "lease": wanted.lease_seconds,
    }
    if sqlite:
        return await _run_sqlite(session, sql, given)
    found = (await session.execute(_statement(sql), given)).all()
    claims = [_as_claim(row) for row in found if row.id is not None]
    places = list(found[0][len(COLUMNS) :]) if found else []
    return sorted(claims, key=_rank), places


async def _run_sqlite(
    session: AsyncSession, sql: str, given: dict[str, Any]
) -> tuple[list[Claim], list[str]]:
    asked = {name: json.dumps(v) if isinstance(v, list) else v for name, v in given.items()}
    names = ("worker", "lease")
    found = (
        await session.execute(text(sql), {k: v for k, v in asked.items() if k not in names})
    ).all()
    seqs = [row[0] for row in found if row[0] is not None]
    places = list(found[0][1:]) if found else []
    if not seqs:
        return [], places
    tokens = {str(seq): str(new_id()) for seq in seqs}
    update = {
        "tokens": json.dumps(tokens),
        "worker": given["worker"],
        "lease": given["lease"],
        "boot": boot_id(),
        "seqs": json.dumps(seqs),
    }
    rows = (await session.execute(_statement(UPDATE_SQLITE), update)).all()
    claims = sorted((_as_claim(row) for row in rows), key=_rank)
    await session.execute(
        text(
            "INSERT INTO job_events (job_id, at, kind, attempt, worker) "
            "SELECT id, started_at, 'started', attempt, worker_id FROM background_jobs "
            "WHERE seq IN (SELECT value FROM json_each(:seqs))"
        ),
        {"seqs": update["seqs"]},
    )
    return claims, places


def _as_claim(row: Any) -> Claim:
    return Claim(**dict(zip(COLUMNS, row, strict=False)))


def _rank(claim: Claim) -> tuple[int, datetime, int]:
    return -claim.priority, claim.run_after, claim.seq


@lru_cache(maxsize=64)
def _statement(sql: str) -> TextualSelect:
    types: dict[str, Any] = {name: _TABLE.c[name].type for name in COLUMNS}
    return text(sql).columns(**types)
