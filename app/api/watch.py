"""Waiting for a job to change, without a database connection per waiter.

One poller per process asks for the versions of all watched jobs in one statement, and only
while somebody waits. What it sees also answers 304 for a moment, so that a crowd that polls one
job costs the database little.
"""

import asyncio
import logging
import time
from contextlib import suppress

from app.jobs.store import read
from app.jobs.store.read import Reader

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.12
_AWAY_SECONDS = 0.5  # between polls while the database does not answer
_FRESH_SECONDS = 0.25  # how old a version may be that answers 304
_MOST = 10_000


class Watch:
    """The jobs that somebody waits for, and the versions seen a moment ago."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waiting: dict[str, list[tuple[int, asyncio.Future[None]]]] = {}
        self._seen: dict[tuple[str, str | None], tuple[int, float]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def change(self, job_id: str, version: int, seconds: float) -> None:
        """Return when the job has another version than `version`, or when the time is up."""
        if self._closing:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, []).append((version, waiter))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await waiter
        finally:
            left = [pair for pair in self._waiting.get(job_id, []) if pair[1] is not waiter]
            if left:
                self._waiting[job_id] = left
            else:
                self._waiting.pop(job_id, None)

    def note(self, job_id: str, owner: str | None, version: int) -> None:
        """Remember for a moment that `owner` may see the job, and its version."""
        if len(self._seen) >= _MOST:
            self._seen.clear()
        self._seen[job_id, owner] = version, time.monotonic() + _FRESH_SECONDS

    def lately(self, job_id: str, owner: str | None) -> int | None:
        """The version that `owner` would have seen a moment ago, if somebody looked."""
        seen = self._seen.get((job_id, owner))
        return seen[0] if seen is not None and seen[1] > time.monotonic() else None

    def forget(self) -> None:
        """Something was changed here: nobody may be told of an earlier version."""
        self._seen.clear()

    def close(self) -> None:
        """Let everybody go who waits: the process is stopping."""
        self._closing = True
        for waiters in self._waiting.values():
            for _version, waiter in waiters:
                _wake(waiter)

    async def stop(self) -> None:
        """Close, and end the poller."""
        self.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _poll(self) -> None:
        while self._waiting:
            try:
                found = await read.versions(self._reader, list(self._waiting))
            except Exception as error:  # noqa: BLE001 -- as long as somebody waits it goes on
                log.warning("watched jobs not read", extra={"error": repr(error)[:300]})
                await asyncio.sleep(_AWAY_SECONDS)
                continue
            for job_id, waiters in self._waiting.items():
                for version, waiter in waiters:
                    if found.get(job_id, version + 1) != version:  # a forgotten job changed too
                        _wake(waiter)
            await asyncio.sleep(_POLL_SECONDS)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
