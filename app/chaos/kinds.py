"""The work of chaos: kinds of jobs whose effects show whether anything was done twice.

An effect is a row of `chaos_effects`, written in the step that counts its item. The table has no
unique key, so what is done twice stands there twice. `chaos_standing` is a domain's own status,
moved by a hook, which must agree with the job's at the end.
"""

import asyncio
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict, Unavailable
from app.jobs.context import JobContext
from app.jobs.spec import Change, Job, JobArgs, Registry

TABLES = (
    "CREATE TABLE chaos_effects (job_id uuid NOT NULL, item integer NOT NULL, "
    "attempt integer NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())",
    "CREATE TABLE chaos_standing (job_id uuid PRIMARY KEY, status text NOT NULL)",
)
MEANT = "meant"  # the error of a job that is meant to fail

_EFFECT = text(
    "INSERT INTO chaos_effects (job_id, item, attempt) VALUES (:job_id, :item, :attempt)"
)
_STANDING = text(
    "INSERT INTO chaos_standing (job_id, status) VALUES (:job_id, :status) "
    "ON CONFLICT (job_id) DO UPDATE SET status = :status"
)
_BATCH = 3  # items per step
_PAUSE = 0.08  # seconds before each step
_ATTEMPTS = 8  # some stumble three times, and an outage in a first step uses one up
_TIMEOUT = timedelta(minutes=10)


class Brief(JobArgs, kind="chaos_brief"):
    """Nothing but an end."""

    items: int = 0


class Long(JobArgs, kind="chaos_long"):
    """Many items, a few to a step."""

    items: int


class Laned(JobArgs, kind="chaos_laned"):
    """A few items, behind everything that was asked of the same track before."""

    items: int
    track: int

    def lane(self) -> str:
        """One at a time on a track."""
        return f"track {self.track}"


class Single(JobArgs, kind="chaos_single"):
    """A few items; asked again while it is under way, it is the same job."""

    items: int
    key: int

    def unique_key(self) -> str:
        """One at a time of a key."""
        return str(self.key)


class Stumbling(JobArgs, kind="chaos_stumbling"):
    """Fails half-way in its first attempts, then completes."""

    items: int
    failures: int


class Doomed(JobArgs, kind="chaos_doomed"):
    """Fails half-way, for good."""

    items: int


Work = Brief | Long | Laned | Single | Stumbling | Doomed


async def plain(ctx: JobContext, args: Any) -> dict[str, Any]:
    """Do all items; a second run goes on after the last step."""
    await _work(ctx, args.items, args.items)
    return {"items": args.items}


async def stumble(ctx: JobContext, args: Stumbling) -> None:
    """Do half, fail, and do the rest in a later attempt; a second run goes on."""
    if ctx.attempt <= args.failures:
        await _work(ctx, args.items // 2, args.items)
        raise Unavailable("not this time", retry_after=0.1)
    await _work(ctx, args.items, args.items)


async def fail(ctx: JobContext, args: Doomed) -> None:
    """Do half and fail; a second run goes on and fails again."""
    await _work(ctx, args.items // 2, args.items)
    raise Conflict("this one is meant to fail", code=MEANT)


async def _work(ctx: JobContext, until: int, total: int) -> None:
    done: int = ctx.cursor or 0
    while done < until:
        await asyncio.sleep(_PAUSE)
        upto = min(until, done + _BATCH)
        facts = {"job_id": ctx.job_id, "attempt": ctx.attempt}
        async with ctx.step(total=total, stage="working") as step:
            await step.session.execute(_EFFECT, [facts | {"item": n} for n in range(done, upto)])
            step.advance(upto - done, cursor=upto)
        done = upto


async def note_standing(session: AsyncSession, change: Change) -> None:
    """The hook: the domain's own status moves with the job."""
    await session.execute(_STANDING, {"job_id": change.job_id, "status": change.status.value})


def registry() -> Registry:
    """All kinds of chaos. They are in no catalogue: no service shall know them."""
    return Registry(
        [
            Job(Brief, plain, "chaos_brief", _TIMEOUT, _ATTEMPTS),
            Job(Long, plain, "chaos_long", _TIMEOUT, _ATTEMPTS),
            Job(Laned, plain, "chaos_laned", _TIMEOUT, _ATTEMPTS, on_change=note_standing),
            Job(Single, plain, "chaos_single", _TIMEOUT, _ATTEMPTS),
            Job(Stumbling, stumble, "chaos_stumbling", _TIMEOUT, _ATTEMPTS),
            Job(Doomed, fail, "chaos_doomed", _TIMEOUT, _ATTEMPTS),
        ]
    )
