"""What a handler sees of its job.

    async with ctx.step(total=len(pages), stage="extracting") as step:
        await store.save_pages(step.session, batch)
        step.advance(len(batch), cursor=batch[-1].number)

One step is one transaction, one progress write, one checkpoint and one cancellation point.
The rows of a batch, the counters and the cursor commit together, so progress is never a guess,
a crash repeats at most one step, and a retry goes on where the last one stopped.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import boot_seconds
from app.core.failpoints import failpoint
from app.core.passing import OUTAGE_PATIENCE, patiently
from app.jobs.ledger import Ledger
from app.jobs.queue import JobQueue
from app.jobs.store import secrets, steps
from app.jobs.store.claim import Claim
from app.jobs.store.moves import Ending, tell
from app.resources import Resources

_SMOOTHING = 0.3  # weight of the newest window in the rate: jumps fade within about five
_WINDOW_SECONDS = 0.25


class LeaseLost(Exception):
    """This worker was presumed dead; nothing of the step was stored. Stop, write nothing."""


class JobCancelled(Exception):
    """The step is stored, and the job was asked to stop."""


class Step:
    """One batch of work inside its transaction."""

    def __init__(self, session: AsyncSession, cursor: Any) -> None:
        self.session = session
        self.cursor = cursor
        self.processed = 0
        self.failed = 0
        self.ends = False
        self.result: dict[str, Any] | None = None

    def end(self, result: dict[str, Any] | None = None) -> None:
        """Complete the job in this step's own transaction; the handler returns after it.

        For a handler whose end is only right together with what the step has just made sure of.
        Any other simply returns its result.
        """
        self.ends, self.result = True, result

    def advance(self, processed: int = 0, *, failed: int = 0, cursor: Any = None) -> None:
        """Count items of this step, and say where a retry goes on (JSON; None: as before).

        `processed` counts successes, those skipped as unchanged included; `failed` failures.
        """
        self.processed += processed
        self.failed += failed
        if cursor is not None:
            self.cursor = cursor


class JobContext:
    """A running job, in the hands of its handler."""

    def __init__(
        self,
        claim: Claim,
        resources: Resources,
        queue: JobQueue,
        ledger: Ledger,
        lease_seconds: float,
    ) -> None:
        self.job_id: UUID = claim.id
        self.owner_id: UUID | None = claim.owner_id
        self.parent_id: UUID | None = claim.parent_id
        self.attempt: int = claim.attempt
        self.resources = resources
        self.queue = queue
        self.cursor: Any = claim.cursor
        self.processed: int = claim.processed_items
        self.failed: int = claim.failed_items
        self.total: int | None = claim.total_items
        self._percent = claim.progress_percent
        self._stage = claim.stage
        self.lease_ends = boot_seconds() + lease_seconds  # as far as this process knows
        self.ended = False  # whether a step has ended the job, see `Step.end`
        self.stepped = False  # whether this attempt has committed a step
        self.on_first_step: Callable[[], None] = lambda: None
        self._token = claim.lease_token
        self._lease = lease_seconds
        self._ledger = ledger
        self.worker_id: str | None = None  # whose hands these are
        self._rate: float | None = None
        self._window_items = 0
        self._window_began = time.monotonic()

    @asynccontextmanager
    async def step(
        self,
        *,
        total: int | None = None,
        stage: str | None = None,
        message: str | None = None,
        restart: bool = False,
    ) -> AsyncGenerator[Step]:
        """Do one step: a transaction that also saves progress and checkpoint.

        It waits for a database that is away before it begins; one that goes away in the middle
        is an error of the attempt.

        Args:
            total: how many items there are in all, once it is known.
            stage: what is being done, in a word; a change is told in the audit trail.
            message: a sentence for people; the present one stays when it is None.
            restart: start over on purpose: counters, percent and cursor fall to zero first.

        Raises:
            JobCancelled: the step is stored and the job was asked to stop.
            LeaseLost: this worker was presumed dead; nothing of the step was stored.
        """
        processed, failed = (0, 0) if restart else (self.processed, self.failed)
        async with self.resources.db.transaction() as session:
            await patiently(session.connection, OUTAGE_PATIENCE)
            step = Step(session, None if restart else self.cursor)
            yield step
            await failpoint("before_checkpoint")
            processed += step.processed
            failed += step.failed
            values = self._progress(processed, failed, total, restart, step)
            values |= {"stage": stage} if stage is not None else {}
            values |= {"message": message} if message is not None else {}
            asked = boot_seconds()
            asked_to_stop = await steps.save_step(
                session, self.job_id, self._token, self._lease, **values
            )
            if asked_to_stop is None:
                raise LeaseLost(f"job {self.job_id} has a new owner")
            await self._tell_stage(session, stage, restart)
            if step.ends and not asked_to_stop:
                ending = Ending(self.job_id, self._token, step.result)
                await self._ledger.complete_in(session, [ending])
            await failpoint("in_checkpoint")
        await failpoint("after_checkpoint")
        self._remember(values, stage)
        self.renewed(asked)
        if not self.stepped:
            self.stepped = True
            self.on_first_step()
        self.ended = step.ends and not asked_to_stop
        if asked_to_stop:
            raise JobCancelled(f"job {self.job_id} was asked to stop")

    async def secret(self) -> str | None:
        """What was sealed for this job when it was asked for; None where nothing was."""
        key = self.resources.settings.secret()
        async with self.resources.db.reading() as session:
            return await secrets.read(session, key, self.job_id)

    async def began(self, session: AsyncSession) -> datetime:
        """When the job's first attempt began, by the database's clock."""
        moment = await steps.first_start(session, self.job_id)
        assert moment is not None  # told by the claim
        return moment

    def renewed(self, asked: float) -> None:
        """Note that the lease was renewed by a statement sent at `asked`, by the boot clock."""
        self.lease_ends = max(self.lease_ends, asked + self._lease)

    def _progress(
        self, processed: int, failed: int, total: int | None, restart: bool, step: Step
    ) -> dict[str, Any]:
        known = total if total is not None else self.total
        percent = 0
        if known:
            percent = min(99, round(100 * (processed + failed) / known))
        rate = self._new_rate(step.processed + step.failed)
        left = None if known is None else max(0, known - processed - failed)
        return {
            "processed_items": processed,
            "failed_items": failed,
            "total_items": known,
            "cursor": step.cursor,
            "progress_percent": percent if restart else max(self._percent, percent),
            "items_per_second": rate,
            "eta_seconds": round(left / rate, 1) if rate and left is not None else None,
        }

    def _new_rate(self, items: int) -> float | None:
        """Items per second, smoothed over windows: frames that arrive together are no speed."""
        self._window_items += max(0, items)  # a count that is set right downwards is no speed
        elapsed = time.monotonic() - self._window_began
        if elapsed < _WINDOW_SECONDS:
            return self._rate
        if not self._window_items and self._rate is None:
            return None
        newest = self._window_items / elapsed
        self._window_items, self._window_began = 0, time.monotonic()
        if self._rate is None:
            return round(newest, 3)
        return round(_SMOOTHING * newest + (1 - _SMOOTHING) * self._rate, 3)

    async def _tell_stage(self, session: AsyncSession, stage: str | None, restart: bool) -> None:
        if restart or (stage is not None and stage != self._stage):
            data: dict[str, Any] = {"stage": stage or self._stage}
            data |= {"restarted": True} if restart else {}
            await tell(session, "progress_stage", [(self.job_id, self.attempt)], None, data)

    def _remember(self, values: dict[str, Any], stage: str | None) -> None:
        self.processed, self.failed = values["processed_items"], values["failed_items"]
        self.total, self.cursor = values["total_items"], values["cursor"]
        self._percent, self._rate = values["progress_percent"], values["items_per_second"]
        self._stage = stage or self._stage
