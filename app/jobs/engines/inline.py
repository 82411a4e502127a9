"""The inline engine: runs what waits, here and now, with no bell. For tests and for `--now`."""

import asyncio

from app.jobs.worker import Worker


async def run_all(worker: Worker, *, timeout_seconds: float = 60.0) -> None:
    """Claim and run until nothing is due and nothing runs.

    Raises:
        TimeoutError: that took longer than `timeout_seconds`.
    """
    async with asyncio.timeout(timeout_seconds):
        while True:
            worker.news.clear()  # set by what ends from now on: it may free a lane
            again = await worker.claim()
            running = [a.task for a in worker.runner.attempts.values() if a.task is not None]
            if running:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            elif not again and not worker.news.is_set():
                return
