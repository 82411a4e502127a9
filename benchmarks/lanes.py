"""Lanes under load: 100 lanes beside work without a lane, workers of both engines, rollbacks.

    python -m benchmarks.lanes [--jobs 10000] [--lanes 100]

So many jobs over the lanes and as many without one, four worker processes (two of each engine)
on a private PostgreSQL and Valkey; one claim in ten of laned work is rolled back. Prints
overlaps within a lane, breaks of its order, jobs that did not end exactly once, and how long
work waited. The exit code is 1 if a promise was broken.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sqlalchemy import text

import app.catalogue  # noqa: F401 -- every model is in the metadata
from app.chaos.servers import postgres_server, valkey_server
from app.core.db import Base
from app.core.loops import run
from app.jobs.engines import open_queue
from app.resources import Resources, open_resources
from app.settings import Settings
from tests.engines.jobs import Laned, Shaky, registry
from tests.processes import environment, worker

_ENGINES = ("arq", "database", "arq", "database")


@dataclass(frozen=True)
class Verdict:
    """What was seen of the promises."""

    overlaps: int
    order_breaks: int
    not_once: int
    free_done_s: float
    laned_done_s: float

    @property
    def kept(self) -> bool:
        return not (self.overlaps or self.order_breaks or self.not_once)


async def fill(resources: Resources, jobs: int, lanes: int) -> None:
    async with open_queue(resources, registry()) as queue:
        for start in range(0, jobs, 500):
            async with resources.db.transaction() as session:
                for n in range(start, min(jobs, start + 500)):
                    await queue.enqueue(session, Shaky(name=f"lane-{n % lanes:03}"))
                    await queue.enqueue(session, Laned(name="", number=n))


async def ended(resources: Resources, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    left = text("SELECT count(*) FROM background_jobs WHERE status IN ('queued', 'running')")
    while time.monotonic() < deadline:
        async with resources.db.reading() as session:
            if not (await session.execute(left)).scalar_one():
                return
        await asyncio.sleep(0.5)
    raise TimeoutError("not everything ended")


async def judge(resources: Resources) -> Verdict:
    rows = (
        "SELECT lane, started_at, completed_at, status, attempt FROM background_jobs ORDER BY seq"
    )
    async with resources.db.reading() as session:
        found = (await session.execute(text(rows))).all()
    first = min(row.started_at for row in found)
    by_lane = defaultdict(list)
    for row in found:
        by_lane[row.lane].append(row)
    free = by_lane.pop(None)
    overlaps = order = 0
    for lane in by_lane.values():
        order += sum(b.started_at < a.started_at for a, b in pairwise(lane))
        timed = sorted(lane, key=lambda row: row.started_at)
        overlaps += sum(b.started_at < a.completed_at for a, b in pairwise(timed))
    not_once = sum(row.status != "completed" or row.attempt != 1 for row in found)
    laned_done = max(row.completed_at for lane in by_lane.values() for row in lane)
    free_done = max(row.completed_at for row in free)
    seconds = (free_done - first).total_seconds(), (laned_done - first).total_seconds()
    return Verdict(overlaps, order, not_once, *seconds)


async def measure(jobs: int, lanes: int, seconds: float = 300) -> Verdict:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headway-lanes-")))
        url = stack.enter_context(postgres_server()).url()
        redis = stack.enter_context(valkey_server()).url
        settings = Settings(
            _env_file=None, data_dir=folder, database_url=url, redis_url=redis, arq_max_jobs=50
        )
        async with open_resources(settings) as resources:
            async with resources.db.engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            await fill(resources, jobs, lanes)
            env = environment(settings, LOG_LEVEL="error", WORKER_POLL_INTERVAL="0.05")
            for engine in _ENGINES:
                stack.enter_context(worker(engine, env, folder / "workers.log"))
            await ended(resources, seconds)
            return await judge(resources)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--lanes", type=int, default=100)
    options = parser.parse_args()
    verdict = run(measure(options.jobs, options.lanes))
    print(f"{options.jobs} jobs over {options.lanes} lanes and {options.jobs} without, 4 workers")
    print(f"overlaps {verdict.overlaps}, order breaks {verdict.order_breaks}, "
          f"not exactly once {verdict.not_once}")  # fmt: skip
    print(f"last job without a lane after {verdict.free_done_s:.1f} s, "
          f"of a lane after {verdict.laned_done_s:.1f} s")  # fmt: skip
    sys.exit(not verdict.kept)


if __name__ == "__main__":
    main()
