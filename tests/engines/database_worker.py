"""A real process of the database engine for the conformance suite and the faults."""

import asyncio

from app.core.failpoints import arm
from app.core.logging import configure_logging
from app.core.loops import run
from app.jobs.engines import open_worker
from app.jobs.engines.database import serve
from app.jobs.worker import Share
from app.resources import open_resources
from app.settings import load_settings
from app.worker.database import on_signals
from tests.engines.which import known


async def main() -> None:
    settings = load_settings()
    configure_logging(level=settings.log_level, json_lines=True)
    arm(settings.failpoint)
    stop = asyncio.Event()
    on_signals(stop)
    share = Share(engine="database", max_jobs=settings.arq_max_jobs)
    async with (
        open_resources(settings) as resources,
        open_worker(resources, *known(), share) as worker,
    ):
        await serve(worker, stop, poll=settings.worker_poll_interval)


if __name__ == "__main__":
    run(main())
