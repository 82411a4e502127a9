"""Every change of a job, whole: the row, its line, the domain's status, and who is rung after.

The domain's own status moves in the transaction that moves the job, by the hook of its kind, so
that the two can never disagree. Whoever ends, releases or recovers a job of a lane rings the
lane's next head after the commit.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import Database, after_commit
from app.core.passing import OUTAGE_PATIENCE, is_passing
from app.jobs import states
from app.jobs.failures import Failure, lapse_backoff
from app.jobs.models import BackgroundJob as _Row
from app.jobs.queue import JobQueue, Order
from app.jobs.spec import Change
from app.jobs.states import JobStatus
from app.jobs.store import people, secrets, sweep
from app.jobs.store.claim import Claim
from app.jobs.store.insert import next_ring
from app.jobs.store.moves import (
    Ending,
    Moved,
    attempt_not_consumed,
    complete,
    complete_at_once,
    fenced,
    from_now,
    move,
)
from app.jobs.store.steps import lapsed

log = logging.getLogger("worker")

_NOTHING: Mapping[str, Any] = MappingProxyType({})
LAPSES = 3  # lost workers in a row, without a committed step, before a job counts as poison


class Ledger:
    """Moves jobs, with everything that belongs to a move."""

    def __init__(self, db: Database, queue: JobQueue, worker_id: str | None = None) -> None:
        """Write as `worker_id`, or as nobody in particular (the API, the command line)."""
        self.db = db
        self._queue = queue
        self._worker = worker_id

    async def started(
        self, session: AsyncSession, claims: Sequence[Claim]
    ) -> dict[UUID, Exception]:
        """Tell the hooks of claimed jobs, in the transaction of the claim.

        Returns:
            The jobs whose hook failed, and how: their attempts fail before they begin, and the
            others are not held up.
        """
        spoiled: dict[UUID, Exception] = {}
        for claim in claims:
            known = self._queue.registry.get(claim.kind)
            if known is None or known.on_change is None:
                continue
            try:
                async with session.begin_nested():
                    await known.on_change(session, _change_of(claim, self._worker))
            except Exception as error:
                if is_passing(error):
                    raise
                spoiled[claim.id] = error
        return spoiled

    async def complete(self, endings: Sequence[Ending]) -> set[UUID]:
        """End jobs well, in one transaction; the ids of those that were still this worker's."""
        return await self.db.run(
            lambda session: self.complete_in(session, endings), patience=OUTAGE_PATIENCE
        )

    async def complete_in(self, session: AsyncSession, endings: Sequence[Ending]) -> set[UUID]:
        """The same in a transaction that is open."""
        moved = await complete(session, endings, self._worker or "")
        await self.settle(session, moved)
        return {each.change.job_id for each in moved}

    async def complete_at_once(self, endings: Sequence[Ending]) -> set[UUID]:
        """The same for kinds without a hook: one trip, and lanes are rung right after it."""
        moved = await complete_at_once(self.db, endings, self._worker or "")
        laned = [each for each in moved if each.lane is not None]
        if laned:
            await self.db.run(lambda session: self.settle(session, laned), patience=2.0)
        return {each.change.job_id for each in moved}

    async def fail(self, claim: Claim, failure: Failure, *, retry_in: float | None) -> bool:
        """End an attempt badly: wait for the next one when `retry_in` is given, else for good.

        A job that was asked to stop meanwhile is cancelled instead. False: not this worker's.
        """
        data: dict[str, Any] = {"error_type": failure.code, "error_message": failure.message}
        error = data | {"error_trace": failure.trace}
        data |= {} if retry_in is None else {"retry_in_seconds": round(retry_in, 3)}

        async def work(session: AsyncSession) -> bool:
            if retry_in is None:
                return await self._leave(session, claim, states.FAIL, data, error)
            later: dict[str, Any] = {"run_after": from_now(session, retry_in)}
            later |= {"max_attempts": _Row.max_attempts + 1} if failure.spared else {}
            return await self._leave(session, claim, states.RETRY_LATER, data, error | later)

        return await self.db.run(work, patience=OUTAGE_PATIENCE)

    async def cancelled(self, claim: Claim) -> bool:
        """End a job that was asked to stop and has stopped. False: not this worker's."""

        async def work(session: AsyncSession) -> bool:
            return await self._fenced(session, claim, states.CANCEL_RUNNING, None, _CANCELLED)

        return await self.db.run(work, patience=OUTAGE_PATIENCE)

    async def release(self, claim: Claim, *, reason: str = "shutdown") -> bool:
        """Hand a job back: checkpoint kept, attempt not consumed, due at once."""

        async def work(session: AsyncSession) -> bool:
            values = {
                "attempt": attempt_not_consumed(),
                "run_after": from_now(session, 0),
                "worker_id": None,
            }
            return await self._leave(session, claim, states.RELEASE, {"reason": reason}, values)

        return await self.db.run(work, patience=OUTAGE_PATIENCE)

    async def recover(
        self, lost: sweep.Lost, *, must_have_lapsed: bool, facts: Mapping[str, Any] = _NOTHING
    ) -> JobStatus | None:
        """Take a job from a worker that is gone; where it went, or None if it was not gone.

        Asked to stop: cancelled. One attempt only (builds): `worker_lost`. Too many workers
        lost in a row without a step: `poison`. Else queued again, as a suspect. `facts` go into
        the audit trail and to the kind's hook.
        """

        async def work(session: AsyncSession) -> JobStatus | None:
            edge, code, values = self._after_lapse(session, lost)
            conditions = [_Row.id == lost.id, _Row.lease_token == lost.lease_token]
            # After a step, or a request to stop, the edge may be another: at the next look.
            conditions += [_Row.lapses == lost.lapses]
            conditions += [_Row.cancel_requested.is_(lost.cancel_requested)]
            conditions += [lapsed(session)] if must_have_lapsed else []
            data = {"reason": "lease_expired" if must_have_lapsed else "worker_gone"}
            data |= {"error_type": code} if code else {}
            data |= facts
            moved = await move(
                session, edge, *conditions, worker=lost.worker_id, data=data, values=values
            )
            told = [replace(each, change=replace(each.change, facts=facts)) for each in moved]
            await self.settle(session, told)
            return edge.target if moved else None

        return await self.db.run(work)

    async def give_up(self, job_ids: Sequence[UUID]) -> int:
        """Fail queued jobs of kinds that no worker knows."""

        async def work(session: AsyncSession) -> int:
            values = {
                "error_type": "unknown_kind",
                "error_message": "No worker has known this kind of job for a day.",
            }
            conditions = (_Row.id.in_(job_ids), _Row.status == JobStatus.QUEUED)
            moved = await move(session, states.GIVE_UP, *conditions, values=values)
            await self.settle(session, moved)
            return len(moved)

        return await self.db.run(work)

    async def cancel(self, session: AsyncSession, job_id: UUID, owner_id: UUID | None) -> None:
        """Cancel a queued job at once, or ask a running one to stop. `owner_id` None: an admin.

        Raises:
            NotFound: no such job, or not the caller's.
            Conflict: it has already ended.
        """
        moved = await people.cancel(session, job_id, owner_id)
        if moved is not None and moved.change.status is JobStatus.RUNNING:
            known = self._queue.registry.get(moved.change.kind)
            if known is not None and known.on_cancel_request is not None:
                await known.on_cancel_request(session, moved.change)
        elif moved is not None:
            await self.settle(session, [moved])

    async def retry(self, session: AsyncSession, job_id: UUID, owner_id: UUID | None) -> None:
        """Queue a failed or cancelled job again, from its checkpoint.

        Raises:
            NotFound: no such job, or not the caller's.
            Conflict: it has not failed and was not cancelled, or an equal job is active.
        """
        kind, _status = await people.status_of(session, job_id, owner_id)
        known = self._queue.registry.get(kind)
        budget = 1 if known is None else known.max_attempts
        await self.settle(session, [await people.retry(session, job_id, owner_id, budget)])

    async def settle(self, session: AsyncSession, moved: Sequence[Moved]) -> None:
        """What follows a move, in its transaction: the hooks, and rings after the commit."""
        for each in moved:
            await self._tell_hook(session, each.change)
        await self._forget_secrets(session, moved)
        again = [m for m in moved if m.change.status is JobStatus.QUEUED]
        if again:
            numbers = await next_ring(session, [m.change.job_id for m in again])
            for each in again:
                self._ring(session, each.change.job_id, numbers, each.change.kind, each.queue, each)
        freed = {m.lane for m in moved if m.lane is not None}
        for lane in sorted(freed):
            head = await sweep.lane_head(session, lane)
            if head is not None and head.id not in {m.change.job_id for m in again}:
                numbers = await next_ring(session, [head.id])
                self._ring(session, head.id, numbers, head.kind, head.queue, head)

    async def _forget_secrets(self, session: AsyncSession, moved: Sequence[Moved]) -> None:
        ended = [m.change for m in moved if m.change.status.ended]
        known = self._queue.registry
        # A kind that this process does not know may have a secret too.
        job_ids = [c.job_id for c in ended if c.kind not in known or known[c.kind].secret]
        if job_ids:
            await secrets.forget(session, job_ids)

    def _ring(
        self,
        session: AsyncSession,
        job_id: UUID,
        numbers: dict[UUID, int],
        kind: str,
        queue: str,
        order: Order,
    ) -> None:
        if job_id in numbers:
            ring = self._queue.ring_for(job_id, numbers[job_id], kind, queue, order)
            after_commit(session, partial(self._queue.ring, ring))

    async def _fenced(
        self,
        session: AsyncSession,
        claim: Claim,
        edge: states.Edge,
        data: dict[str, Any] | None,
        values: dict[str, Any],
        *conditions: ColumnElement[bool],
    ) -> bool:
        mine = fenced(claim.id, claim.lease_token)
        moved = await move(
            session, edge, *mine, *conditions, worker=self._worker, data=data, values=values
        )
        await self.settle(session, moved)
        return bool(moved)

    async def _leave(
        self,
        session: AsyncSession,
        claim: Claim,
        edge: states.Edge,
        data: dict[str, Any],
        values: dict[str, Any],
    ) -> bool:
        """Move along `edge`, unless the job was asked to stop: then it is cancelled.

        In this order, because a request that comes in between finds a job that has moved.
        """
        unasked = _Row.cancel_requested.is_(False)
        if await self._fenced(session, claim, edge, data, values, unasked):
            return True
        return await self._fenced(session, claim, states.CANCEL_RUNNING, None, _CANCELLED)

    def _after_lapse(
        self, session: AsyncSession, lost: sweep.Lost
    ) -> tuple[states.Edge, str | None, dict[str, Any]]:
        known = self._queue.registry.get(lost.kind)
        if lost.cancel_requested:
            return states.CANCEL_RUNNING, "cancelled", _CANCELLED
        if known is not None and known.max_attempts == 1:
            return states.FAIL, "worker_lost", _WORKER_LOST
        lapses = lost.lapses + 1
        if lapses >= LAPSES:
            return states.FAIL, "poison", _POISON | {"lapses": lapses}
        values = {
            "lapses": lapses,
            "max_attempts": _Row.max_attempts + 1,
            "run_after": from_now(session, lapse_backoff(lapses)),
        }
        return states.RECOVER, None, values

    async def _tell_hook(self, session: AsyncSession, change: Change) -> None:
        known = self._queue.registry.get(change.kind)
        if known is not None and known.on_change is not None:
            await known.on_change(session, change)


def _change_of(claim: Claim, worker: str | None) -> Change:
    return Change(
        job_id=claim.id,
        kind=claim.kind,
        status=JobStatus.RUNNING,
        event=states.CLAIM.event,
        args=claim.args,
        owner_id=claim.owner_id,
        parent_id=claim.parent_id,
        error_type=None,
        error_message=None,
        worker=worker,
    )


_CANCELLED = {"error_type": "cancelled", "error_message": "The job was cancelled."}
_WORKER_LOST = {
    "error_type": "worker_lost",
    "error_message": "The worker that ran this job is gone.",
}
_POISON = {
    "error_type": "poison",
    "error_message": f"Its worker was lost {LAPSES} times in a row without any progress.",
}
UNKNOWN_AFTER = timedelta(hours=24)
