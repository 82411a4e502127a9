"""The jobs of the conformance suite; imported by its workers, in this process and in others."""

import asyncio
import ctypes
import os
import random
import time
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict, Unavailable
from app.jobs.context import JobContext
from app.jobs.spec import Change, JobArgs, Registry, job


class Count(JobArgs, kind="count"):
    """Count to `items`, a step each."""

    items: int
    pause: float = 0.0
    fail_first: bool = False


class Break(JobArgs, kind="break"):
    """Fail for good."""


class Await(JobArgs, kind="await"):
    """Wait, without a step, for so long."""

    seconds: float


class Laned(JobArgs, kind="laned"):
    """Note when it ran in its lane."""

    name: str
    number: int

    def lane(self) -> str | None:
        return self.name or None


class Urgent(JobArgs, kind="urgent", priority=10):
    """A job that goes first."""


class Single(JobArgs, kind="single"):
    """One at a time may be asked for."""

    key: str

    def unique_key(self) -> str:
        return self.key


@job(function="count_arq", max_attempts=3)
async def count(ctx: JobContext, args: Count) -> dict[str, Any]:
    """Count; a second run goes on after the last committed step."""
    for number in range(ctx.cursor or 0, args.items):
        await asyncio.sleep(args.pause)
        if args.fail_first and ctx.attempt == 1 and number == args.items // 2:
            raise Unavailable("not this time", retry_after=0.01)
        async with ctx.step(total=args.items, stage="counting") as step:
            step.advance(1, cursor=number + 1)
    return {"counted": args.items, "attempt": ctx.attempt}


@job(function="break_arq", max_attempts=3)
async def break_(_ctx: JobContext, _args: Break) -> None:
    """Fail; a second run fails again."""
    raise Conflict("it is broken", code="broken")


@job(function="await_arq", max_attempts=3)
async def await_(_ctx: JobContext, args: Await) -> None:
    """Wait; a second run waits again."""
    await asyncio.sleep(args.seconds)


@job(function="laned_arq")
async def laned(ctx: JobContext, args: Laned) -> dict[str, Any]:
    """Do nothing; a second run does the same."""
    await asyncio.sleep(0.002)
    return {"number": args.number, "job": str(ctx.job_id)}


@job(function="urgent_arq")
async def urgent(_ctx: JobContext, _args: Urgent) -> None:
    """Do nothing; a second run does the same."""


@job(function="single_arq")
async def single(_ctx: JobContext, _args: Single) -> None:
    """Do nothing; a second run does the same."""


class Poison(JobArgs, kind="poison"):
    """Take the worker down: exit, segfault, block (the loop) or spin (it too)."""

    how: str


@job(function="poison_arq", max_attempts=5)
async def poison(_ctx: JobContext, args: Poison) -> None:
    """Take the worker down; a second run does it again."""
    if args.how == "exit":
        os._exit(1)
    if args.how == "segfault":
        ctypes.string_at(0)
    if args.how == "block":
        time.sleep(120)
    while args.how == "spin":
        pass


class Shaky(JobArgs, kind="shaky"):
    """A job of a lane, whose claims sometimes roll back."""

    name: str

    def lane(self) -> str:
        return self.name


_dice = random.Random(os.getpid())


async def roll_back_sometimes(session: AsyncSession, change: Change) -> None:
    """Roll one claim in ten back as a whole, as a lost connection would."""
    if change.event == "started" and session.info.setdefault("dice", _dice.random()) < 0.1:
        raise ConnectionError("a forced rollback of a claim")


@job(function="shaky_arq", max_attempts=3, on_change=roll_back_sometimes)
async def shaky(_ctx: JobContext, _args: Shaky) -> None:
    """Do nothing; a second run does the same."""


def registry() -> Registry:
    return Registry([count, break_, await_, laned, urgent, single, poison, shaky])
