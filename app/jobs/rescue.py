"""The sweep: nothing stays queued or running for ever.

Every process looks for lost workers once a second; one process at a time rings again for rows
whose ring is lost and gives up kinds that nobody knows.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from app.core.clock import boot_seconds
from app.jobs.identity import Identity
from app.jobs.ledger import UNKNOWN_AFTER, Ledger
from app.jobs.queue import JobQueue
from app.jobs.spec import Leftover
from app.jobs.states import JobStatus
from app.jobs.store import sweep, workers
from app.jobs.store.insert import next_ring
from app.resources import Resources

log = logging.getLogger("worker")

SWEEP_SECONDS = 5.0  # between two sweeps for lost rings, over all processes
_GRACE = 2.0  # after an outage live owners renew first
_LATE = 1.5  # a look this late, in seconds, means that this process or machine had stopped
_TIDY_SECONDS = 60.0
_DEAD_AFTER = 600.0  # seconds after which the row of a worker that was killed is removed

Gone = Callable[[Sequence[sweep.Waiting]], Awaitable[Sequence[sweep.Waiting]]]


class Rescue:
    """Finds what was lost, and puts it right."""

    def __init__(
        self,
        resources: Resources,
        queue: JobQueue,
        ledger: Ledger,
        identity: Identity,
        max_jobs: int,
    ) -> None:
        """Look as the worker `identity`, which runs up to `max_jobs` at once."""
        self.recovered = 0
        self._db = resources.db
        self._resources = resources
        self._queue = queue
        self._ledger = ledger
        self._identity = identity
        self._max_jobs = max_jobs
        self._trouble_until = boot_seconds() + _GRACE
        self._last_look = boot_seconds()
        self._tidied = -_TIDY_SECONDS

    def outage(self) -> None:
        """Note that the database was away: lapsed leases may be renewed in a moment."""
        self._trouble_until = boot_seconds() + _GRACE

    async def look(self) -> int:
        """Recover jobs whose worker is gone; how many.

        At once those of dead processes of this host; others when their lease has lapsed, and
        not within two seconds after the database, this process or this machine was away.
        """
        moment = boot_seconds()
        if moment - self._last_look > _LATE:
            self.outage()
        self._last_look = moment
        dead = await self._dead_on_this_host()
        async with self._db.reading() as session:
            lapsed = await sweep.lapsed_jobs(session)
        if boot_seconds() - moment > _LATE:  # it hung, and has just come back
            self.outage()
        count = await self._recover(dead, must_have_lapsed=False)
        if boot_seconds() >= self._trouble_until:
            count += await self._recover(lapsed, must_have_lapsed=True)
        self.recovered += count
        return count

    async def ring_again(self, queues: Sequence[str], gone: Gone) -> int:
        """Ring, in claim order, for rows that are due and whose last ring is lost; how many.

        Args:
            queues: where to look.
            gone: which of the waiting rows have no ring left.
        """
        rung = 0
        for queue in queues:
            async with self._db.reading() as session:
                waiting = await sweep.waiting(session, queue, SWEEP_SECONDS, 4 * self._max_jobs)
            silent = {each.id: each for each in await gone(waiting)} if waiting else {}
            if not silent:
                continue
            numbers = await self._number(list(silent))
            for job_id, number in numbers.items():
                each = silent[job_id]
                self._queue.ring(self._queue.ring_for(job_id, number, each.kind, queue, each))
            rung += len(numbers)
        if rung:
            log.info("rang again", extra={"jobs": rung})
        return rung

    async def ring_when_due(self, ids: Sequence[UUID]) -> None:
        """Ring again, for the time when they are due, for those of `ids` that were rung early."""
        async with self._db.reading() as session:
            early = {each.id: each for each in await sweep.not_yet_due(session, ids)}
        for job_id, number in (await self._number(list(early))).items() if early else ():
            each = early[job_id]
            self._queue.ring(self._queue.ring_for(job_id, number, each.kind, each.queue, each))

    async def on_duty(self) -> bool:
        """Whether this process does the sweep for all, until the next one is due."""
        holder = str(self._identity)
        return await self._db.run(
            lambda session: sweep.take_duty(session, "sweep", holder, SWEEP_SECONDS), patience=2
        )

    async def tidy_now_and_then(self) -> None:
        """Tidy up, at most once a minute: it looks at every queued row."""
        moment = boot_seconds()
        if moment - self._tidied >= _TIDY_SECONDS:
            self._tidied = moment
            await self.tidy()

    async def tidy(self) -> None:
        """Give up kinds that nobody has known for a day; forget workers that were killed."""
        async with self._db.reading() as session:
            known = list(self._queue.registry)
            unknown = await sweep.unclaimed_since(session, UNKNOWN_AFTER, known)
        if unknown:
            await self._ledger.give_up(unknown)
        async with self._db.transaction() as session:
            await workers.forget_dead(session, _DEAD_AFTER)

    async def _number(self, ids: list[UUID]) -> dict[UUID, int]:
        return await self._db.run(lambda session: next_ring(session, ids))

    async def _dead_on_this_host(self) -> list[sweep.Lost]:
        if not self._identity.prefix:
            return []
        async with self._db.reading() as session:
            here = await sweep.workers_of_host(session, self._identity.prefix)
            gone = [worker_id for worker_id in here if self._identity.is_gone(worker_id)]
            return await sweep.jobs_of(session, gone) if gone else []

    async def _recover(self, lost: Sequence[sweep.Lost], *, must_have_lapsed: bool) -> int:
        count = 0
        for job in lost:
            began = time.monotonic()
            facts = await self._inspect(job)
            if facts is None:
                continue
            status = await self._ledger.recover(job, must_have_lapsed=must_have_lapsed, facts=facts)
            if status is None:
                continue
            count += 1
            log.warning(
                "job recovered" if status is JobStatus.QUEUED else "lost job ended",
                extra={
                    "job_id": str(job.id),
                    "kind": job.kind,
                    "status": status,
                    "lost_worker": job.worker_id,
                    "duration_ms": round(1000 * (time.monotonic() - began)),
                },
            )
        return count

    async def _inspect(self, job: sweep.Lost) -> Mapping[str, Any] | None:
        """What the job's kind finds of it on this host; None while something of it still runs."""
        known = self._queue.registry.get(job.kind)
        if known is None or known.on_lost is None:
            return {}
        try:
            facts = await known.on_lost(self._resources, Leftover(job.id, job.args))
        except Exception:  # one job that cannot be looked at must not hold the others up
            log.exception("lost job not inspected", extra={"job_id": str(job.id)})
            return None
        if facts is None:
            log.info("lost job still at work", extra={"job_id": str(job.id), "kind": job.kind})
        return facts
