"""A wall of 1,000 jobs that cannot run must not delay a fresh one: pick-up beside each wall.

    python -m benchmarks.fresh                       every wall on every engine
    python -m benchmarks.fresh --engines sqlite arq  some engines (sqlite, postgresql, arq)

The wall is asked for and, on ARQ, rung for; what of it runs is held by another live worker, which
renews its leases. Then an idle worker picks up fresh jobs at random gaps: free ones, and ones in
lanes of their own, which come last by name. Pick-up is what `benchmarks.queue` means by it: from
before the enqueue, the durable commit included, to the first line of the handler.
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from app.core.clock import utcnow
from app.core.loops import run
from app.jobs.context import JobContext
from app.jobs.engines import open_queue, open_worker
from app.jobs.engines.database import serve
from app.jobs.queue import JobQueue
from app.jobs.spec import Job, Registry
from app.jobs.store.insert import store
from app.jobs.worker import Share
from app.resources import Resources, open_resources
from app.settings import load_settings
from benchmarks.jobs import Noop, noted, registry
from benchmarks.queue import ENGINES, Place, analyze, create_tables, place, worker

WARM_UP = 20  # the first ones warm caches and connections up, and are not counted


@dataclass(frozen=True)
class Wall:
    """So many rows, the columns in which each differs, and how many of them another worker runs."""

    name: str
    rows: int = 0
    columns: Callable[[int], dict[str, Any]] = lambda _n: {}
    held: int = 0


WALLS = (
    Wall("none"),
    Wall("1,000 queued in one busy lane", 1001, lambda _n: {"lane": "wall"}, held=1),
    Wall("1,000 deferred", 1000, lambda _n: {"run_after": utcnow() + timedelta(hours=1)}),
    Wall("1,000 running elsewhere", 1000, held=1000),
    Wall("1,000 busy lanes", 2000, lambda n: {"lane": f"wall-{n % 1000:04}"}, held=1000),
)


async def build(resources: Resources, queue: JobQueue, wall: Wall) -> None:
    for start in range(0, wall.rows, 500):
        async with resources.db.transaction() as session:
            for n in range(start, min(wall.rows, start + 500)):
                request = replace(queue.request(Noop(number=n)), **wall.columns(n))
                queue.ring_after(session, await store(session, request))


@contextmanager
def holder(at: Place, wall: Wall) -> Iterator[None]:
    """Another worker, with a slot for each job that it shall hold and none for fresh ones."""
    if not wall.held:
        yield
        return
    environment = os.environ | at.environment | {"ARQ_MAX_JOBS": str(wall.held)}
    environment.pop("REDIS_URL", None)  # it leaves the rings alone
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fresh", "--hold"], env=environment
    )
    try:
        yield
    finally:
        process.kill()  # handing a thousand jobs back is not what is measured
        process.wait()


async def hold() -> None:
    """Be that other worker: its no-op never ends."""

    async def rest(_ctx: JobContext, _args: Noop) -> None:
        await asyncio.Event().wait()

    settings = load_settings()
    share = Share(engine="database", queues=("default",), max_jobs=settings.arq_max_jobs)
    kinds = Registry([Job(Noop, rest, "noop", None, 1)])
    async with (
        open_resources(settings) as resources,
        open_worker(resources, kinds, [], share) as own,
    ):
        await serve(own, asyncio.Event(), poll=0.1)


async def stands(resources: Resources, wall: Wall) -> None:
    """Wait until the other worker holds what it shall."""
    running = text("SELECT count(*) FROM background_jobs WHERE status = 'running'")
    async with asyncio.timeout(120):
        while True:
            async with resources.db.reading() as session:
                if (await session.execute(running)).scalar_one() == wall.held:
                    return
            await asyncio.sleep(0.2)


@asynccontextmanager
async def idle_worker(at: Place, resources: Resources) -> AsyncGenerator[None]:
    """The worker that is measured; on SQLite it lives in this process."""
    async with AsyncExitStack() as stack:
        if at.engine == "sqlite":
            share = Share(engine="database", queues=("default",), max_jobs=10)
            own = await stack.enter_async_context(open_worker(resources, registry(), [], share))
            serving = asyncio.create_task(serve(own, asyncio.Event(), poll=0.5))
            stack.callback(serving.cancel)
        else:
            stack.enter_context(worker(at))
        await asyncio.sleep(3)
        yield
        await asyncio.sleep(1)


async def ask(resources: Resources, queue: JobQueue, jobs: int, *, laned: bool) -> dict[int, int]:
    """When each fresh job was asked for, by its number."""
    asked: dict[int, int] = {}
    for n in range(1, jobs + WARM_UP):
        number = n + (1_000_000 if laned else 0)
        own_lane: dict[str, Any] = {"lane": f"zz-fresh-{n:04}"} if laned else {}
        moment = time.monotonic_ns()
        async with resources.db.transaction() as session:
            request = replace(queue.request(Noop(number=-number)), **own_lane)
            queue.ring_after(session, await store(session, request))
        if n >= WARM_UP:
            asked[number] = moment
        await asyncio.sleep(random.uniform(0.01, 0.06))
    return asked


async def pick_ups(engine: str, wall: Wall, jobs: int) -> tuple[list[float], list[float]]:
    """Milliseconds, for free jobs and for those in lanes of their own."""
    with place(engine, max_jobs=10) as at:
        noted.file = at.log
        async with open_resources(at.settings) as resources:
            await create_tables(resources)
            async with open_queue(resources, registry()) as queue:
                await build(resources, queue, wall)
                await analyze(resources)
                with holder(at, wall):
                    await stands(resources, wall)
                    async with idle_worker(at, resources):
                        free = await ask(resources, queue, jobs, laned=False)
                        laned = await ask(resources, queue, jobs, laned=True)
        seen = dict(line.split() for line in at.log.read_text().splitlines())
    return waits(free, seen), waits(laned, seen)


def waits(asked: dict[int, int], seen: dict[str, str]) -> list[float]:
    missing = [n for n in asked if str(n) not in seen]
    if missing:
        raise RuntimeError(f"{len(missing)} fresh jobs of {len(asked)} were not picked up")
    return [(int(seen[str(n)]) - moment) / 1e6 for n, moment in asked.items()]


def cell(found: list[float]) -> str:
    p50, p95 = statistics.median(found), statistics.quantiles(found, n=20)[18]
    return f"{p50:5.1f} / {p95:5.1f} / {max(found):6.1f}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--pick-ups", type=int, default=100)
    parser.add_argument("--hold", action="store_true", help="be the other worker (internal)")
    options = parser.parse_args()
    if options.hold:
        return await hold()
    print(f"{'pick-up, p50 / p95 / max ms':<30} {'engine':<11} {'free':<23} in a lane of its own")
    for wall in WALLS:
        for engine in options.engines:
            free, laned = await pick_ups(engine, wall, options.pick_ups)
            print(f"{wall.name:<30} {engine:<11} {cell(free):<23} {cell(laned)}", flush=True)
    return None


if __name__ == "__main__":
    run(main())
