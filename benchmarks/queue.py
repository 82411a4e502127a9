"""Drain and pick-up of the job core, per engine.

    python -m benchmarks.queue                     everything
    python -m benchmarks.queue --engines sqlite    one engine (sqlite, postgresql, arq)
    python -m benchmarks.queue --finished 1000000  with so many finished rows in the table

Drain: so many tracked no-op jobs are in the table before one worker process starts; the rate is
from the first start to the last completion, events and rows included, as the rows say. "hooked"
is a kind whose claim and ending move a domain's row in the same transaction. Pick-up:
an idle worker, one job at a time at random gaps; from before the enqueue (the durable commit
included) to the first line of the handler.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

import app.catalogue  # noqa: F401 -- every model is in the metadata
from app.chaos.servers import postgres_server, scratch, valkey_server
from app.core.columns import new_id
from app.core.db import Base
from app.core.loops import run
from app.jobs.engines import open_queue, open_worker
from app.jobs.engines.database import serve
from app.jobs.worker import Share
from app.resources import Resources, open_resources
from app.settings import Settings
from benchmarks.jobs import Noop, noted, registry

ENGINES = ("postgresql", "sqlite", "arq")


@dataclass(frozen=True)
class Place:
    """Where one engine is measured."""

    engine: str
    settings: Settings
    environment: dict[str, str]
    log: Path


@contextmanager
def place(engine: str, max_jobs: int) -> Iterator[Place]:
    with ExitStack() as stack:
        folder = stack.enter_context(scratch("bench"))
        url = f"sqlite:///{folder}/headway.db"
        environment = {"DATA_DIR": str(folder / "data"), "LOG_LEVEL": "warning"}
        if engine != "sqlite":
            url = stack.enter_context(postgres_server(durable=True)).url()
        if engine == "arq":
            environment["REDIS_URL"] = stack.enter_context(valkey_server()).url
        log = folder / "picked.log"
        environment |= {"DATABASE_URL": url, "ARQ_MAX_JOBS": str(max_jobs), "BENCH_LOG": str(log)}
        given: dict[str, Any] = {
            name.lower(): value for name, value in environment.items() if name != "BENCH_LOG"
        }
        yield Place(engine, Settings(_env_file=None, **given), environment, log)


@contextmanager
def worker(at: Place) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "benchmarks.worker"]
    if at.engine == "arq":
        command = [sys.executable, "-m", "arq", "benchmarks.worker.WorkerSettings"]
        command = [str(Path(sys.executable).with_name("arq")), "benchmarks.worker.WorkerSettings"]
    process = subprocess.Popen(command, env=os.environ | at.environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


async def create_tables(resources: Resources) -> None:
    async with resources.db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


async def fill(resources: Resources, jobs: int, finished: int, kind: str = "noop") -> None:
    """Put finished rows first, then queued ones, as bulk inserts."""
    insert = (
        "INSERT INTO background_jobs (id, kind, queue, status, args, run_after, created_at,"
        " completed_at, max_attempts, processed_items, failed_items, progress_percent, attempt,"
        " lapses, priority, cancel_requested, version, ring)"
        " VALUES (:id, :kind, 'default', :status, :args, :now, :now, :done, 1, 0, 0, 0, 0, 0, 0,"
        " false, 1, 1)"
    )
    from datetime import UTC, datetime, timedelta

    moment = datetime.now(UTC) - timedelta(hours=1)
    plain = resources.db.is_sqlite
    now = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if plain else moment
    for count, status in ((finished, "completed"), (jobs, "queued")):
        for start in range(0, count, 20_000):
            rows = [
                {
                    "id": str(new_id()) if plain else new_id(),
                    "kind": kind,
                    "status": status,
                    "args": json.dumps({"number": n}),
                    "now": now,
                    "done": now if status == "completed" else None,
                }
                for n in range(start, min(count, start + 20_000))
            ]
            async with resources.db.engine.begin() as connection:
                await connection.execute(text(insert), rows)


async def analyze(resources: Resources) -> None:
    async with resources.db.engine.connect() as connection:
        await connection.exec_driver_sql("COMMIT" if resources.db.is_sqlite else "SELECT 1")
        await connection.exec_driver_sql("ANALYZE")
        if not resources.db.is_sqlite:
            await connection.commit()


async def drained(resources: Resources, jobs: int) -> float:
    """Wait for the last job; jobs per second from the first start to the last completion."""
    edges = (
        "SELECT count(*), min(started_at), max(completed_at) FROM background_jobs"
        " WHERE status = 'completed' AND started_at IS NOT NULL"
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        async with resources.db.reading() as session:
            left = "SELECT count(*) FROM background_jobs WHERE status IN ('queued', 'running')"
            if (await session.execute(text(left))).scalar_one():
                continue
            count, first, last = (await session.execute(text(edges))).one()
        if isinstance(first, str):
            from datetime import datetime

            first, last = datetime.fromisoformat(first), datetime.fromisoformat(last)
        assert count == jobs, f"{count} of {jobs} completed"
        return float(jobs / (last - first).total_seconds())
    raise TimeoutError("the queue was not drained")


async def drain(
    engine: str, jobs: int, finished: int, with_analyze: bool, kind: str = "noop"
) -> float:
    with place(engine, max_jobs=200) as at:
        async with open_resources(at.settings) as resources:
            await create_tables(resources)
            await fill(resources, jobs, finished, kind)
            if with_analyze:
                await analyze(resources)
            with worker(at):
                return await drained(resources, jobs)


async def pick_up(engine: str, jobs: int, finished: int) -> list[float]:
    """Milliseconds from before the enqueue to the first line of the handler, each job.

    On SQLite the worker lives in the process that asks, elsewhere in one of its own.
    """
    with place(engine, max_jobs=10) as at:
        noted.file = at.log
        async with open_resources(at.settings) as resources, AsyncExitStack() as stack:
            await create_tables(resources)
            await fill(resources, 0, finished)
            await analyze(resources)
            if engine == "sqlite":
                share = Share(engine="database", queues=("default",), max_jobs=10)
                own = await stack.enter_async_context(open_worker(resources, registry(), [], share))
                stop = asyncio.Event()
                serving = asyncio.create_task(serve(own, stop, poll=0.5))
                stack.callback(serving.cancel)
            else:
                stack.enter_context(worker(at))
            asked = await ask_one_by_one(resources, jobs)
        seen = dict(line.split() for line in at.log.read_text().splitlines())
    return [(int(seen[str(n)]) - asked[n]) / 1e6 for n in asked if str(n) in seen]


async def ask_one_by_one(resources: Resources, jobs: int) -> dict[int, int]:
    asked: dict[int, int] = {}
    async with open_queue(resources, registry()) as queue:
        await asyncio.sleep(3)
        for n in range(1, jobs + 20):
            moment = time.monotonic_ns()
            async with resources.db.transaction() as session:  # as every route asks
                await queue.enqueue(session, Noop(number=-n))
            if n >= 20:  # the first ones warm caches and connections up
                asked[n] = moment
            await asyncio.sleep(random.uniform(0.01, 0.06))
        await asyncio.sleep(1)
    return asked


def report(engine: str, rates: dict[str, float], waits: list[float]) -> None:
    p50, p95 = statistics.median(waits), statistics.quantiles(waits, n=20)[18]
    drains = "  ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
    print(f"{engine:<11} drain: {drains}")
    print(f"{'':<11} pick-up: p50 {p50:.2f} ms  p95 {p95:.2f} ms  max {max(waits):.2f} ms"
          f"  ({len(waits)} jobs)", flush=True)  # fmt: skip


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--pick-ups", type=int, default=200)
    parser.add_argument("--finished", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for engine in options.engines:
        rates = {"empty": await drain(engine, options.jobs, 0, False)}
        rates["after ANALYZE"] = await drain(engine, options.jobs, 0, True)
        rates["hooked"] = await drain(engine, options.jobs, 0, True, "followed")
        if options.finished:
            name = f"with {options.finished:,} finished"
            rates[name] = await drain(engine, options.jobs, options.finished, True)
        report(engine, rates, await pick_up(engine, options.pick_ups, 0))


if __name__ == "__main__":
    run(main())
