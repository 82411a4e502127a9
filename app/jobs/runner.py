"""Runs claimed jobs, whoever delivered them: call the handler, write the ending.

All engines end here, and so does the test harness. This is the file to read first. A worker
hands over claims (`start`); each becomes a task with a lease that somebody else renews; when
the handler is done, or was stopped, the ending is written under the lease's token.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any
from uuid import UUID

from app.core.failpoints import failpoint
from app.core.logging import bound
from app.core.passing import is_outage
from app.jobs.context import JobCancelled, JobContext, LeaseLost
from app.jobs.failures import Failure, failure_of
from app.jobs.ledger import Ledger
from app.jobs.queue import JobQueue
from app.jobs.spec import Job
from app.jobs.store.claim import Claim, Taken
from app.jobs.store.moves import Ending
from app.resources import Resources

log = logging.getLogger("worker")

_BATCH = 200  # endings per transaction


class Stop(Enum):
    """Why a running job is stopped from outside."""

    CANCEL = auto()  # a person asked
    RELEASE = auto()  # the worker is stopping
    LOST = auto()  # the lease is somebody else's
    CUT_OFF = auto()  # the lease could not be renewed in time; perhaps it is nobody's yet


@dataclass(slots=True, eq=False)
class Attempt:
    """One claimed job in this process."""

    claim: Claim
    task: asyncio.Task[None] | None = None
    ctx: JobContext | None = None
    stop: Stop | None = None
    spoiled: Exception | None = None  # what its kind's hook raised at the claim
    begun: bool = False  # a task cancelled before its first step would never run at all
    ending: bool = False  # the handler is done; what is left is to write so

    @property
    def suspect(self) -> bool:
        """Whether it lost its last worker and may do the same to this one."""
        return self.claim.lapses > 0 and not (self.ctx is not None and self.ctx.stepped)


@dataclass(slots=True)
class _Batch:
    """Endings that wait for the write that is under way; then they go out together."""

    hooked: bool
    endings: list[tuple[Ending, asyncio.Future[bool]]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Runner:
    """Runs jobs in this process, each as a task."""

    def __init__(
        self, resources: Resources, queue: JobQueue, ledger: Ledger, worker_id: str
    ) -> None:
        """Run the jobs of `queue.registry` as `worker_id`."""
        self.resources = resources
        self.attempts: dict[UUID, Attempt] = {}
        self.on_freed: Callable[[], None] = lambda: None  # called whenever another job may start
        self._queue = queue
        self._ledger = ledger
        self._worker_id = worker_id
        self._batches = {hooked: _Batch(hooked) for hooked in (False, True)}

    @property
    def busy(self) -> int:
        """How many handlers are running."""
        return sum(not attempt.ending for attempt in self.attempts.values())

    @property
    def runs_suspect(self) -> bool:
        """Whether a job is running here that lost its last worker and has made no step since."""
        return any(attempt.suspect for attempt in self.attempts.values())

    def start(self, taken: Taken) -> list[asyncio.Task[None]]:
        """Run each claim in a task of its own; the tasks never raise."""
        tasks = []
        for claim in taken.claims:
            attempt = Attempt(claim, spoiled=taken.spoiled.get(claim.id))
            self.stop(claim.id, Stop.LOST)  # an earlier attempt here that has not noticed yet
            self.attempts[claim.id] = attempt
            attempt.task = asyncio.create_task(self._run(attempt), name=f"job {claim.id}")
            tasks.append(attempt.task)
        return tasks

    def stop(self, job_id: UUID, why: Stop) -> None:
        """Stop a running handler where it waits; its ending says why."""
        attempt = self.attempts.get(job_id)
        if attempt is None or attempt.ending or attempt.stop is not None:
            return
        attempt.stop = why
        if attempt.begun and attempt.task is not None:
            attempt.task.cancel()

    async def drain(self, timeout_seconds: float) -> None:
        """Wait for everything that runs, at most so long."""
        tasks = [a.task for a in self.attempts.values() if a.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_seconds)

    async def _run(self, attempt: Attempt) -> None:
        attempt.begun = True
        claim = attempt.claim
        facts = {"job_id": str(claim.id), "kind": claim.kind, "attempt": claim.attempt}
        with bound(**facts, worker_id=self._worker_id):
            try:
                await self._run_bound(attempt)
            except Exception:
                # Not the job's fault but ours or the database's; the lease lapses and the
                # sweep gives the job to somebody else.
                log.exception("ending not written")
            finally:
                if self.attempts.get(claim.id) is attempt:  # not when it was claimed again
                    del self.attempts[claim.id]
                self.on_freed()

    async def _run_bound(self, attempt: Attempt) -> None:
        claim = attempt.claim
        log.info("job started", extra={"queue": claim.queue})
        await failpoint("after_claim")
        began = time.monotonic()
        ctx = attempt.ctx = JobContext(
            claim,
            self.resources,
            self._queue,
            self._ledger,
            self.resources.settings.job_lease_seconds,
        )
        ctx.worker_id = self._worker_id
        if attempt.suspect:
            ctx.on_first_step = self.on_freed  # the next suspect may start
        outcome = await self._call(attempt, ctx)
        attempt.ending = True
        self.on_freed()
        # From here on nobody cancels this task: `stop` leaves an ending attempt alone.
        await failpoint("before_ending")
        ended = "completed" if ctx.ended else await self._write(attempt, outcome)
        await failpoint("after_ending")
        facts = {
            "processed": ctx.processed,
            "failed": ctx.failed,
            "duration_ms": round(1000 * (time.monotonic() - began)),
        }
        if ended is None:
            log.warning("lease lost; nothing written", extra=facts)
        else:
            log.info("job ended", extra={"status": ended, **facts})

    async def _call(
        self, attempt: Attempt, ctx: JobContext
    ) -> dict[str, Any] | Failure | Stop | None:
        """Call the handler; what came of it, as a value."""
        if (before := attempt.stop) is not None:
            return before
        if attempt.spoiled is not None:
            return failure_of(attempt.spoiled)
        claim = attempt.claim
        job = self._queue.registry[claim.kind]
        limit = asyncio.timeout(self._timeout(job))
        try:
            async with limit:
                return await job(ctx, job.args_type.model_validate(claim.args))
        except asyncio.CancelledError:
            if attempt.stop is None:  # set by `stop`, while the handler waited
                raise
            return attempt.stop
        except LeaseLost:
            return Stop.LOST
        except JobCancelled:
            return Stop.CANCEL
        except TimeoutError as error:
            if limit.expired():
                seconds = self._timeout(job)
                message = f"The attempt took more than {seconds:g} s."
                return Failure("timeout", message, retryable=True)
            return failure_of(error)
        except Exception as error:  # noqa: BLE001 -- the row is where a handler's failure is told
            failure = failure_of(error)
            # An outage is not the job's fault, as long as the job gets further between two.
            spared = is_outage(error) and ctx.stepped and job.max_attempts > 1
            return replace(failure, spared=spared)

    def _timeout(self, job: Job[Any]) -> float:
        ceiling = self.resources.settings.arq_job_timeout
        return ceiling if job.timeout is None else min(ceiling, job.timeout.total_seconds())

    async def _write(
        self, attempt: Attempt, outcome: dict[str, Any] | Failure | Stop | None
    ) -> str | None:
        """Write the ending; the status it brought, or None when the lease was lost."""
        claim = attempt.claim
        if isinstance(outcome, Stop):
            return await self._write_stop(claim, outcome)
        if isinstance(outcome, Failure):
            return await self._write_failure(claim, outcome)
        return "completed" if await self._complete(claim, outcome) else None

    async def _write_stop(self, claim: Claim, stop: Stop) -> str | None:
        if stop is Stop.LOST:
            return None
        if stop is Stop.CANCEL:
            return "cancelled" if await self._ledger.cancelled(claim) else None
        reason = "shutdown" if stop is Stop.RELEASE else "cut_off"
        if stop is Stop.CUT_OFF and self._queue.registry[claim.kind].max_attempts == 1:
            lost = Failure("worker_lost", "The worker was cut off from its database.")
            return await self._write_failure(claim, lost)
        return "queued" if await self._ledger.release(claim, reason=reason) else None

    async def _write_failure(self, claim: Claim, failure: Failure) -> str | None:
        # A retry by a person leaves a kind of one attempt with more of them in its row.
        once = self._queue.registry[claim.kind].max_attempts == 1
        retry_in = None if once else failure.retry_in(claim.attempt, claim.max_attempts)
        facts = {"error_code": failure.code, "retry_in_seconds": retry_in}
        log.warning("attempt failed", extra=facts)
        written = await self._ledger.fail(claim, failure, retry_in=retry_in)
        return None if not written else "failed" if retry_in is None else "queued"

    async def _complete(self, claim: Claim, result: dict[str, Any] | None) -> bool:
        """Write `completed`, together with whatever else completes meanwhile."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        batch = self._batches[self._queue.registry[claim.kind].on_change is not None]
        batch.endings.append((Ending(claim.id, claim.lease_token, result), done))
        if batch.task is None or batch.task.done():
            batch.task = asyncio.create_task(self._flush(batch))
        return await done

    async def _flush(self, batch: _Batch) -> None:
        while batch.endings:
            together = batch.endings[:_BATCH]
            del batch.endings[:_BATCH]
            await self._flush_together(together, batch.hooked)

    async def _flush_together(
        self, together: Sequence[tuple[Ending, asyncio.Future[bool]]], hooked: bool
    ) -> None:
        endings = [ending for ending, _done in together]
        try:
            if hooked:
                written = await self._ledger.complete(endings)
            else:
                written = await self._ledger.complete_at_once(endings)
        except Exception as error:  # noqa: BLE001 -- handed to those who wait, or tried again
            if not hooked:  # the patient way, in a session
                await self._flush_together(together, True)
            elif len(together) > 1:  # one bad hook must not take the others down
                for one in together:
                    await self._flush_together([one], True)
            else:
                together[0][1].set_exception(error)
            return
        for ending, done in together:
            done.set_result(ending.job_id in written)
