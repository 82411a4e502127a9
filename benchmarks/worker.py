"""One worker process for the benchmark: the arq command's settings, or the database engine."""

import asyncio

from app.core.logging import configure_logging
from app.core.loops import run, use_everywhere
from app.jobs.engines import open_worker
from app.jobs.engines.arq_worker import arq_settings
from app.jobs.engines.database import serve
from app.jobs.worker import Share
from app.resources import open_resources
from app.settings import load_settings
from app.worker.database import on_signals
from benchmarks.jobs import registry

use_everywhere()
settings = load_settings()
WorkerSettings = type("WorkerSettings", (), arq_settings(settings, registry(), []))


async def database_worker() -> None:
    configure_logging(level=settings.log_level, json_lines=True)
    stop = asyncio.Event()
    on_signals(stop)
    share = Share(engine="database", queues=("default",), max_jobs=settings.arq_max_jobs)
    async with (
        open_resources(settings) as resources,
        open_worker(resources, registry(), [], share) as worker,
    ):
        await serve(worker, stop, poll=settings.worker_poll_interval)


if __name__ == "__main__":
    run(database_worker())
