"""The one place of a process that looks for changes, for all who wait for one.

A poller asks for the versions of all watched jobs in one statement, and only while somebody
watches: no database connection per stream, and nothing in the way of the workers. Of what has
changed it reads the rows, once for all, and offers them to the streams.

Whoever watches all jobs is shown what the audit trails tell, and the steps of running jobs.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from app.api.seen import Seen
from app.api.trail import Trail
from app.jobs.store import changes
from app.jobs.store.changes import State
from app.jobs.store.read import Reader

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.0625  # a quarter of the 250 ms after which a stream may show a job again
_SHARE = 8  # a look may cost one part in so many of the time: with very many jobs, ticks are longer
_POLLED_SECONDS = 2.5  # after somebody's last question for a job
_MOST_POLLED = 2_000
_LONGEST_SECONDS = 0.15  # between two looks; on a machine that is busy they take long by themselves
_AWAY_SECONDS = 0.5  # between looks while the database does not answer
_ROWS = 500  # read at once
_MOST_ROWS = 2_000  # read in one look; the rest in the next one


class Listener(Protocol):
    """A stream, as the feed sees it."""

    job_id: str | None  # None: all jobs
    owner: str | None  # of all jobs, whose; None: everybody's

    def offer(self, state: State) -> None:
        """A job stands like this now."""

    def gone(self) -> None:
        """The job is no longer there."""

    def missed(self) -> None:
        """There were more changes than can be told."""

    def pump(self) -> bool:
        """Send what may be sent by now; whether something is left."""

    def close(self) -> None:
        """The process is stopping."""


class Feed:
    """Jobs that somebody waits for or watches, and the task that looks after them."""

    def __init__(self, reader: Reader) -> None:
        self.seen = Seen()
        self._reader = reader
        self._waiting: dict[str, list[tuple[int, asyncio.Future[None]]]] = {}
        self._polled: dict[str, float] = {}  # until when, by the monotonic clock
        self._by_job: dict[str, set[Listener]] = {}
        self._of_all: set[Listener] = set()
        self._trail = Trail(reader)
        self._joining = asyncio.Lock()
        self._known: dict[str, int] = {}  # what the listeners have been offered
        self._told: set[str] = set()  # jobs that the trail told of, to be read
        self._pending: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def change(self, job_id: str, version: int, seconds: float) -> None:
        """Return when the job has another version than `version`, or when the time is up."""
        if self._closing:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, []).append((version, waiter))
        self._start()
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

    def poll(self, job_id: str) -> None:
        """Somebody asks for this job again and again: keep its version at hand for a while."""
        if not self._closing and len(self._polled) < _MOST_POLLED:
            self._polled[job_id] = time.monotonic() + _POLLED_SECONDS
            self._start()

    async def join(self, listener: Listener) -> None:
        """Offer `listener` every change from now on; it looks itself how things stand now."""
        if self._closing:
            listener.close()
        if listener.job_id is None:
            async with self._joining:  # of two at once the second must not begin anew
                if not self._of_all:
                    await self._trail.begin()
                self._of_all.add(listener)
        else:
            self._by_job.setdefault(listener.job_id, set()).add(listener)
        self._start()

    def leave(self, listener: Listener) -> None:
        """Offer it nothing any more."""
        self._of_all.discard(listener)
        self._pending.discard(listener)
        if listener.job_id is not None:
            others = self._by_job.get(listener.job_id, set())
            others.discard(listener)
            if not others:
                self._by_job.pop(listener.job_id, None)

    def close(self) -> None:
        """Let everybody go: the process is stopping."""
        self._closing = True
        for waiters in self._waiting.values():
            for _version, waiter in waiters:
                _wake(waiter)
        for listener in self._listeners():
            listener.close()

    async def stop(self) -> None:
        """Close, and end the poller."""
        self.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _listeners(self) -> list[Listener]:
        return [*self._of_all, *(each for some in self._by_job.values() for each in some)]

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting or self._by_job or self._of_all or self._polled:
            began = time.monotonic()
            try:
                await self._look(began)
            except Exception as error:  # noqa: BLE001 -- as long as somebody waits it goes on
                log.warning("watched jobs not read", extra={"error": repr(error)[:300]})
                await asyncio.sleep(_AWAY_SECONDS)
                continue
            took = time.monotonic() - began
            await asyncio.sleep(min(max(_TICK_SECONDS, _SHARE * took), _LONGEST_SECONDS))
        self._known.clear()

    async def _look(self, began: float) -> None:
        if self._of_all:
            told, complete = await self._trail.news()
            self._told |= told
            if not complete:
                for listener in self._of_all:
                    listener.missed()
                self._pending |= self._of_all
        self._polled = {job: until for job, until in self._polled.items() if until > began}
        ids = {*self._waiting, *self._by_job, *self._told, *self._polled}
        found = await changes.versions(self._reader, ids, running=bool(self._of_all))
        self.seen.refresh(found, began)
        self._wake_waiters(ids, found)
        await self._offer(found)
        # Whoever came while the question was under way is not in its answer.
        for job_id in (ids & self._by_job.keys()) - found.keys():
            for listener in self._by_job[job_id]:
                listener.gone()
        self._pending = {each for each in self._pending if each.pump()}

    def _wake_waiters(self, asked: set[str], found: dict[str, int]) -> None:
        for job_id in asked & self._waiting.keys():
            waiters = self._waiting[job_id]
            for version, waiter in waiters:
                if found.get(job_id, version + 1) != version:  # a forgotten job changed too
                    _wake(waiter)

    async def _offer(self, found: dict[str, int]) -> None:
        """Read what has changed since the last look, and give it to whom it concerns."""
        wanted = found.keys() if self._of_all else found.keys() & self._by_job.keys()
        changed = [each for each in wanted if self._known.get(each) != found[each]]
        self._known = {each: found[each] for each in wanted - set(changed)}
        now, later = changed[:_MOST_ROWS], changed[_MOST_ROWS:]
        for start in range(0, len(now), _ROWS):
            for state in await changes.states(self._reader, now[start : start + _ROWS]):
                self._known[state.job_id] = state.version
                for listener in self._concerned(state):
                    listener.offer(state)
                    self._pending.add(listener)
        self._told.intersection_update(later)

    def _concerned(self, state: State) -> Iterable[Listener]:
        yield from self._by_job.get(state.job_id, ())
        for listener in self._of_all:
            if listener.owner is None or listener.owner == state.owner:
                yield listener


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
