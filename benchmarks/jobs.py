"""The job that is measured: nothing but a note of when it began."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.documents.models import Document
from app.jobs.context import JobContext
from app.jobs.spec import Change, JobArgs, Registry, job


@dataclass
class Noted:
    """Where jobs note when they began."""

    file: Path


noted = Noted(Path(os.environ.get("BENCH_LOG", "/dev/null")))


class Noop(JobArgs, kind="noop"):
    number: int


@job(function="noop")
async def noop(_ctx: JobContext, args: Noop) -> None:
    """Append `number nanoseconds` (CLOCK_MONOTONIC) when asked to by a negative number."""
    if args.number < 0:
        moment = time.monotonic_ns()
        with noted.file.open("a") as log:
            log.write(f"{-args.number} {moment}\n")


class Followed(JobArgs, kind="followed"):
    number: int


async def follow(session: AsyncSession, change: Change) -> None:
    """Move a domain's status, as the hooks of backups and documents do: one UPDATE by its key."""
    mine = Document.id == change.job_id
    await session.execute(update(Document).where(mine).values(status=change.status.value))


@job(function="followed", on_change=follow)
async def followed(_ctx: JobContext, _args: Followed) -> None:
    """Do nothing; a second run does the same."""


def registry() -> Registry:
    return Registry([noop, followed])
