"""The jobs of the fault tests beside those of the conformance suite."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.core.db import Database
from app.jobs.context import JobContext
from app.jobs.spec import Job, JobArgs, Registry, job
from tests.engines import jobs as engine_jobs

JOBS: list[Job[Any]] = []


def registry() -> Registry:
    return Registry([*engine_jobs.registry().values(), *JOBS])


# ------------------------------------------------------------------- effects, one row per item

_EFFECTS = "CREATE TABLE effects (job_id TEXT, item INTEGER, attempt INTEGER)"  # doubles may come


async def make_effects_table(db: Database) -> None:
    """No key is unique in it, so that an item that was done twice is seen twice."""
    async with db.transaction() as session:
        await session.execute(text(_EFFECTS))


async def effects_of(db: Database, job_id: UUID, *, attempt: int = 0) -> list[int]:
    """The items that a job has written, in order; an item that was done twice is there twice.

    With `attempt`, only those that this attempt has written.
    """
    sql = "SELECT item FROM effects WHERE job_id = :job AND :attempt IN (0, attempt) ORDER BY item"
    values = {"job": str(job_id), "attempt": attempt}
    async with db.reading() as session:
        return list((await session.execute(text(sql), values)).scalars())


class Write(JobArgs, kind="write"):
    """Write an effect for each of `items`, a step each."""

    items: int
    pause: float = 0.0


@job(function="write_arq", max_attempts=3)
async def write(ctx: JobContext, args: Write) -> None:
    """Write effects; a second run goes on after the last committed step."""
    insert = text("INSERT INTO effects (job_id, item, attempt) VALUES (:job, :item, :attempt)")
    for item in range(ctx.cursor or 0, args.items):
        await asyncio.sleep(args.pause)
        async with ctx.step(total=args.items, stage="writing") as step:
            values = {"job": str(ctx.job_id), "item": item, "attempt": ctx.attempt}
            await step.session.execute(insert, values)
            step.advance(1, cursor=item + 1)


JOBS.append(write)


# ------------------------------------------------------------------- a handler that wants memory

_PIECE = bytes(8 * 2**20)


class Devour(JobArgs, kind="devour"):
    """Take memory until the kernel kills the worker."""

    megabytes: int


@job(function="devour_arq", max_attempts=5)
async def devour(_ctx: JobContext, args: Devour) -> None:
    """Take memory; a second run does it again.

    Where no limit stops it at `megabytes`, it does what the kernel's out-of-memory killer would.
    """
    taken: list[bytearray] = []
    while len(taken) * len(_PIECE) < args.megabytes * 2**20:
        taken.append(bytearray(_PIECE))  # written, so that the pages are there
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGKILL)


JOBS.append(devour)


# ------------------------------------------------------------------- a database that is away


class WriteOnce(Write, kind="write_once"):
    """The same for a job that may be attempted only once."""


@job(function="write_once_arq", max_attempts=1)
async def write_once(ctx: JobContext, args: WriteOnce) -> None:
    """Write effects; there is no second run."""
    await write(ctx, args)


class Tick(JobArgs, kind="tick"):
    """Add a dot to the file `path` all the time, for so many seconds."""

    path: str
    seconds: float


@job(function="tick_arq", max_attempts=3)
async def tick(_ctx: JobContext, args: Tick) -> None:
    """Write dots outside the database; a second run writes more of them, from the start."""
    for _ in range(round(args.seconds / 0.05)):
        with Path(args.path).open("a") as file:
            file.write(".")
        await asyncio.sleep(0.05)


class Clash(JobArgs, kind="clash"):
    """Count in two rows of `pairs`, in this order, in one transaction of this isolation."""

    first: int
    second: int
    isolation: str


@job(function="clash_arq", max_attempts=3)
async def clash(ctx: JobContext, args: Clash) -> None:
    """Count; nothing is kept of a run that clashed, so a second one counts from there."""
    count = text("UPDATE pairs SET n = n + 1 WHERE id = :id")
    async with ctx.step() as step:
        await step.session.execute(text(f"SET TRANSACTION ISOLATION LEVEL {args.isolation}"))
        await step.session.execute(count, {"id": args.first})
        await asyncio.sleep(0.2)
        await step.session.execute(count, {"id": args.second})


JOBS.extend([write_once, tick, clash])
