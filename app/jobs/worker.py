"""One worker process, whichever engine feeds it: slots, leases, sweep, clockwork, watchdog.

An engine asks `free` how many jobs may start and calls `claim` or `claim_rung`. Everything that
must go on meanwhile runs here as loops that outlive any error: leases are renewed at least once
a second, lost jobs are looked for, schedules are knocked, and this worker's row is kept fresh.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from sqlalchemy.exc import DBAPIError

from app.core.logging import bound
from app.core.passing import is_race
from app.jobs.identity import own_identity
from app.jobs.last_words import charge_and_release
from app.jobs.leases import LOOK_SECONDS, Leases
from app.jobs.ledger import Ledger
from app.jobs.queue import JobQueue
from app.jobs.rescue import SWEEP_SECONDS, Gone, Rescue
from app.jobs.runner import Runner, Stop
from app.jobs.schedule import Clockwork, Schedule
from app.jobs.store import sweep, workers
from app.jobs.store.claim import Ask, Due, Rung, Suspect, Taken, Wanted, claim
from app.jobs.watchdog import Watchdog
from app.resources import Resources

log = logging.getLogger("worker")

_RENEW_SECONDS = 1.0  # a cancel is seen within so long
_LAST_SECONDS = 1.5  # after the grace, for a handler to end its processes and be handed back
_RACES = 5  # tries of a claim when other workers take the same lanes
_SUSPECT_SECONDS = 0.25  # between two looks for jobs that lost their worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Which part of the service's work a worker takes."""

    engine: str
    queues: tuple[str, ...] = ()  # none: all that hold jobs
    kinds: tuple[str, ...] = ()  # none: all that are known
    max_jobs: int = 10


class Worker:
    """The engine-independent part of a worker process."""

    def __init__(
        self,
        resources: Resources,
        queue: JobQueue,
        schedules: Sequence[Schedule],
        share: Share,
        rings_gone: Gone,
    ) -> None:
        """Take `share` of the jobs in `queue.registry`.

        `rings_gone` says which of some waiting jobs nobody will hear of any more.
        """
        self.share = share
        self.news = asyncio.Event()  # set when there may be something to claim
        self._identity = own_identity()
        self._resources = resources
        self._queue = queue
        self._rings_gone = rings_gone
        self._lease = resources.settings.job_lease_seconds
        worker_id = str(self._identity)
        self._ledger = Ledger(resources.db, queue, worker_id)
        self.runner = Runner(resources, queue, self._ledger, worker_id)
        self.runner.on_freed = self.news.set
        self._leases = Leases(resources.db, self.runner, self._lease)
        self._clockwork = Clockwork(resources.db, queue, schedules)
        self._rescue = Rescue(resources, queue, self._ledger, self._identity, share.max_jobs)
        self._wanted = Wanted(
            queues=list(share.queues or ("default",)),
            kinds=list(share.kinds or queue.registry),
            worker_id=worker_id,
            lease_seconds=self._lease,
            hooked=[kind for kind, job in queue.registry.items() if job.on_change is not None],
        )
        self._stopping = False
        self._claiming = asyncio.Lock()
        self._suspects_seen = 0.0
        self._crowded = False  # whether the last claim filled all slots

    @property
    def id(self) -> str:
        """Who this worker is, in rows and logs."""
        return str(self._identity)

    @property
    def free(self) -> int:
        """How many more jobs may start now."""
        busy = self.runner.busy
        unwritten = len(self.runner.attempts) - busy
        if self._stopping or unwritten > self.share.max_jobs:
            return 0
        return max(0, self.share.max_jobs - busy)

    async def claim(self) -> bool:
        """Take from the table what may start now, and start it.

        Returns:
            Whether there is reason to look again at once.
        """
        if self._crowded:  # else fresh jobs would take every slot that a lost one waits for
            await self.claim_suspect()
        limit = self.free
        if not limit:
            return False
        taken = await self._start(Due(limit))
        self._crowded = len(taken.claims) >= limit
        await self.claim_suspect()
        return taken.more or self._crowded

    async def answer(self, ids: Sequence[UUID]) -> bool:
        """Like `claim`, after rings for `ids` were taken: which rows run, the table decides.

        A ring says that there is work; the order is the rows'. So priority and arrival count on
        ARQ as they do without it. Rings that came too early are rung again for their time.
        """
        before = self.free
        again = await self.claim()
        if before - self.free < len(ids):
            if again and self.free:  # lanes were left unlooked at, perhaps those rung for
                await self._start(Rung(ids[: self.free]))
            await self._rescue.ring_when_due(ids)
        return again

    async def claim_rung(self, ids: Sequence[UUID]) -> None:
        """Take exactly these jobs, as far as they are due and free, and start them.

        Of a lane the head is taken instead. Those not yet due are rung again for their time.
        """
        taken = await self._start(Rung(ids))
        if len(taken.claims) < len(ids):
            await self._rescue.ring_when_due(ids)

    async def claim_suspect(self) -> None:
        """Take one job that lost its last worker, unless one runs here that has made no step yet."""
        moment = time.monotonic()
        if self.runner.runs_suspect or not self.free:
            return
        if moment - self._suspects_seen < _SUSPECT_SECONDS:
            return
        if not (await self._start(Suspect())).claims:
            self._suspects_seen = moment

    async def wait_for_news(self, seconds: float) -> bool:
        """Wait until something may be there to claim, at most `seconds`; whether it came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.news.wait()
        came = self.news.is_set()
        self.news.clear()
        return came

    async def knock(self) -> float:
        """Ask for every slot that is due; seconds until the next one."""
        return await self._clockwork.knock()

    @asynccontextmanager
    async def on_shift(self) -> AsyncGenerator["Worker"]:
        """Sign in, keep everything going while the block lasts, hand the work back, sign out."""
        with bound(worker_id=self.id):
            await self._report_first()
            dog = Watchdog(self._lease / 2, self._last_words)
            dog.start()
            renewing = min(_RENEW_SECONDS, self._lease / 4)
            works = (
                (renewing, self._leases.renew),
                (LOOK_SECONDS, self._leases.give_up),
                (0.5, self._look),
                (2.0, self._report),
            )
            loops = [asyncio.create_task(self._every(pause, work)) for pause, work in works]
            loops += [asyncio.create_task(self._sweep()), asyncio.create_task(self._knock())]
            try:
                yield self
            finally:
                await self._hand_back()
                dog.stop()
                for loop in loops:
                    loop.cancel()
                await asyncio.gather(*loops, return_exceptions=True)
                await self._sign_out()

    # --------------------------------------------------------------------------- claims

    async def _start(self, ask: Ask) -> Taken:
        """Claim and start, as one: a worker that stops waits for it, and hands back what came."""
        async with self._claiming:
            if self._stopping:
                return Taken([])
            taken = await self._claimed(ask)
            self.runner.start(taken)
            return taken

    async def _claimed(self, ask: Ask) -> Taken:
        for _ in range(_RACES):
            try:
                return await claim(self._resources.db, self._wanted, ask, self._ledger.started)
            except (DBAPIError, asyncpg.PostgresError) as error:
                if not is_race(error):
                    raise
        return Taken([], more=True)

    # ---------------------------------------------------------------------------- loops

    async def _every(self, pause: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._try(work)
            await asyncio.sleep(pause)

    async def _try(self, work: Callable[[], Awaitable[object]]) -> object:
        """Do it; whatever goes wrong is logged and tried again at the next turn."""
        try:
            return await work()
        except Exception as error:  # noqa: BLE001 -- these loops end with the process only
            self._rescue.outage()
            log.warning("worker loop", extra={"error": repr(error)[:300]})
            return None

    async def _look(self) -> None:
        if await self._rescue.look():
            self.news.set()

    async def _sweep(self) -> None:
        while True:
            await self._try(self._sweep_once)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _sweep_once(self) -> None:
        if await self._rescue.on_duty():
            await self._rescue.ring_again(await self._queues(), self._rings_gone)
            await self._rescue.tidy_now_and_then()

    async def _knock(self) -> None:
        while True:
            ahead = await self._try(self.knock)
            pause = ahead if isinstance(ahead, float) else SWEEP_SECONDS
            await asyncio.sleep(min(SWEEP_SECONDS, max(0.05, pause)))

    async def _queues(self) -> list[str]:
        routed = {"default", *self._resources.settings.queue_routes.values()}
        async with self._resources.db.reading() as session:
            return sorted(routed | set(await sweep.queues_in_use(session)))

    async def _report(self) -> None:
        if not self.share.queues:
            self._wanted.queues = await self._queues()
        async with self._resources.db.transaction() as session:
            await workers.sign_in(session, self.id, **self._facts())

    async def _report_first(self) -> None:
        await self._resources.db.run(
            lambda session: workers.sign_in(session, self.id, **self._facts())
        )
        if not self.share.queues:
            self._wanted.queues = await self._queues()
        await self._try(self._look)

    def _facts(self) -> dict[str, object]:
        return {
            "host": self._identity.host,
            "engine": self.share.engine,
            "queues": list(self._wanted.queues),
            "kinds": list(self._wanted.kinds),
            "max_jobs": self.share.max_jobs,
            "running": self.runner.busy,
            "recovered": self._rescue.recovered,
            "leases_lost": self._leases.lost,
        }

    # ----------------------------------------------------------------------- the last act

    async def _hand_back(self) -> None:
        """Release what has a checkpoint at once; let the rest finish within the grace."""
        self._stopping = True
        grace = self._resources.settings.shutdown_grace_seconds
        self._release_what_can_go_on()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace), self._claiming:
                self._release_what_can_go_on()  # what a claim under way has brought
        await self.runner.drain(grace)
        for job_id in list(self.runner.attempts):
            self.runner.stop(job_id, Stop.RELEASE)
        await self.runner.drain(_LAST_SECONDS)

    def _release_what_can_go_on(self) -> None:
        for job_id, attempt in list(self.runner.attempts.items()):
            if self._queue.registry[attempt.claim.kind].releasable:
                self.runner.stop(job_id, Stop.RELEASE)

    async def _sign_out(self) -> None:
        with suppress(Exception):
            async with asyncio.timeout(1.0), self._resources.db.transaction() as session:
                await workers.sign_out(session, self.id)

    def _last_words(self, holder: asyncio.Task[object] | None) -> list[str]:
        guilty = holder.get_name().removeprefix("job ") if holder else ""
        with self._resources.db.letting_go():
            return charge_and_release(self._resources.settings, self._queue, self.id, guilty)
