"""A worker on the database engine, from its start to the last job handed back."""

import asyncio
import signal
from contextlib import suppress

from app.catalogue import SCHEDULES, registry
from app.jobs.engines import open_worker
from app.jobs.engines.banner import announce
from app.jobs.engines.database import serve
from app.jobs.worker import Share
from app.resources import open_resources
from app.settings import Settings


async def run_database_worker(settings: Settings, share: Share, *, burst: bool = False) -> None:
    """Work until SIGTERM or SIGINT; in a burst, until nothing is left. Returns after handing back."""
    stop = asyncio.Event()
    on_signals(stop)
    jobs = registry()
    async with open_resources(settings) as resources:
        announce(settings, share, jobs, resources.db.safe_url)
        async with open_worker(resources, jobs, SCHEDULES, share) as worker:
            await serve(worker, stop, poll=settings.worker_poll_interval, burst=burst)


def on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on SIGTERM and SIGINT; a second one changes nothing."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            with suppress(ValueError):
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
