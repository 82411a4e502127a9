"""The job that is measured: nothing but a note of when it began."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from app.jobs.context import JobContext
from app.jobs.spec import JobArgs, Registry, job


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


def registry() -> Registry:
    return Registry([noop])
