"""`python -m app.chaos.database_worker`: a worker of the database engine for chaos."""

import asyncio

from app.chaos.kinds import registry
from app.core.logging import configure_logging
from app.core.loops import run
from app.jobs.engines import open_worker
from app.jobs.engines.database import serve
from app.jobs.worker import Share
from app.resources import open_resources
from app.settings import load_settings
from app.worker.database import on_signals


async def main() -> None:
    """Work until told to stop."""
    settings = load_settings()
    configure_logging(level=settings.log_level, json_lines=settings.json_logs)
    stop = asyncio.Event()
    on_signals(stop)
    share = Share(engine="database", max_jobs=settings.arq_max_jobs)
    async with (
        open_resources(settings) as resources,
        open_worker(resources, registry(), (), share) as worker,
    ):
        await serve(worker, stop, poll=settings.worker_poll_interval)


if __name__ == "__main__":
    run(main())
