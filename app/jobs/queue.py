"""Asking for work: store the row, then ring.

The row is the queue. A doorbell only tells a worker that the row is there, so a ring that is
lost costs latency, not work, and a ring that comes twice costs one UPDATE that matches nothing.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import after_commit
from app.core.failpoints import failpoint
from app.jobs.spec import JobArgs, Registry
from app.jobs.store import secrets
from app.jobs.store.insert import Request, Stored, store

log = logging.getLogger(__name__)

_PATIENCE = 0.2  # seconds for one batch of rings
_LONGEST_PAUSE = 5.0  # seconds between tries while nobody hears
_BATCH = 500
_WAITING = 10_000  # rings kept while nobody hears; the sweep rings again for what falls out


@dataclass(frozen=True, slots=True)
class Ring:
    """One ring: which job waits, where, and since when it is due."""

    job_id: UUID
    number: int
    function: str
    queue: str
    priority: int
    run_after: datetime


class Doorbell(Protocol):
    """Tells some worker that jobs are waiting."""

    async def ring(self, rings: Sequence[Ring]) -> None:
        """Wake workers of the rings' queues. Raises `Unavailable` when nobody can be told."""
        ...


class NearBell(Protocol):
    """Tells the workers of this host."""

    def ring(self) -> None:
        """Wake them, at once and without an error; where there are none, nothing happens."""
        ...


class Ringer:
    """Rings so that a ring never delays or fails a request or a commit."""

    def __init__(
        self, *bells: Doorbell, near: NearBell | None = None, by_commit: bool = False
    ) -> None:
        """Ring all bells; one that does not answer keeps none of the others waiting.

        `near` is rung at once, the others in the background. `by_commit` says that whoever
        stores a row shall let its commit announce it; then new rows need no other ring.
        """
        self.by_commit = by_commit
        self._near = near
        self._lines = [_Line(bell) for bell in bells]

    def ring(self, ring: Ring) -> None:
        """Leave a ring. Returns at once."""
        if self._near is not None:
            self._near.ring()
        for line in self._lines:
            line.leave(ring)

    async def close(self) -> None:
        """Ring what is left, within the patience of one batch, and stop."""
        await asyncio.gather(*(line.close() for line in self._lines))


class _Line:
    """The rings on their way to one bell."""

    def __init__(self, bell: Doorbell) -> None:
        self._bell = bell
        self._left: deque[Ring] = deque(maxlen=_WAITING)
        self._task: asyncio.Task[None] | None = None

    def leave(self, ring: Ring) -> None:
        self._left.append(ring)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def close(self) -> None:
        if self._task is None:
            return
        with suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(self._task, _PATIENCE)

    async def _drain(self) -> None:
        pause, heard = 0.1, True
        while self._left:
            batch = [self._left.popleft() for _ in range(min(_BATCH, len(self._left)))]
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._bell.ring(batch)
            except Exception as error:  # noqa: BLE001 -- whatever it is, a ring is only a hint
                if heard:
                    log.warning("bell not heard", extra={"rings": len(batch), "error": repr(error)})
                heard = False
                self._left.extendleft(reversed(batch[: _WAITING - len(self._left)]))
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, 2 * pause)
            else:
                pause, heard = 0.1, True


class JobQueue:
    """Where the API and the handlers ask for work."""

    def __init__(self, registry: Registry, routes: Mapping[str, str], ringer: Ringer) -> None:
        """Ask for the jobs of `registry`; `routes` says which queue a kind goes to."""
        self.registry = registry
        self._routes = routes
        self._ringer = ringer

    async def enqueue(
        self,
        session: AsyncSession,
        args: JobArgs,
        *,
        owner_id: UUID | None = None,
        parent_id: UUID | None = None,
        run_after: datetime | None = None,
    ) -> Stored:
        """Ask for a job as part of the caller's transaction.

        The row is stored with the caller's other writes and the bell rings after their commit;
        if the transaction rolls back, nothing was asked. While an equal job (same unique key)
        is queued or running, that one is given back instead.
        """
        request = self.request(args, owner_id, parent_id, run_after)
        stored = await store(session, request, announce=self._ringer.by_commit)
        if stored.new:
            ring = self.ring_for(stored.id, 1, stored.kind, stored.queue, stored)
            after_commit(session, partial(self._committed, ring, self._ringer.by_commit))
        return stored

    async def keep_secret(
        self, session: AsyncSession, stored: Stored, key: bytes, secret: str
    ) -> None:
        """Seal a secret for a job that this transaction has just asked for; see `ctx.secret`."""
        assert stored.new
        assert self.registry[stored.kind].secret, stored.kind
        await secrets.keep(session, key, stored.id, secret)

    def request(
        self,
        args: JobArgs,
        owner_id: UUID | None = None,
        parent_id: UUID | None = None,
        run_after: datetime | None = None,
    ) -> Request:
        """The row that `args` ask for."""
        kind = args.kind
        return Request(
            kind=kind,
            queue=self.queue_of(kind),
            args=args.model_dump(mode="json"),
            max_attempts=self.registry[kind].max_attempts,
            priority=args.priority,
            lane=args.lane(),
            unique_key=args.unique_key(),
            owner_id=owner_id,
            parent_id=parent_id,
            run_after=run_after,
        )

    def queue_of(self, kind: str) -> str:
        """The queue that jobs of `kind` go to (QUEUE_ROUTES)."""
        return self._routes.get(kind, "default")

    def ring_after(self, session: AsyncSession, stored: Stored) -> None:
        """Ring for a row that this transaction has just inserted, once it is committed."""
        ring = self.ring_for(stored.id, 1, stored.kind, stored.queue, stored)
        after_commit(session, partial(self._committed, ring, False))

    def ring_for(self, job_id: UUID, number: int, kind: str, queue: str, order: "Order") -> Ring:
        """The ring of a queued job; a kind that this process does not know rings by its kind."""
        job = self.registry.get(kind)
        function = kind if job is None else job.function
        return Ring(job_id, number, function, queue, order.priority, order.run_after)

    def ring(self, ring: Ring) -> None:
        """Ring now: the row is committed."""
        self._ringer.ring(ring)

    async def _committed(self, ring: Ring, heard: bool) -> None:
        await failpoint("after_commit")
        if not heard:
            self._ringer.ring(ring)


class Order(Protocol):
    """Where a job stands in its queue."""

    @property
    def priority(self) -> int:
        """Higher goes first."""
        ...

    @property
    def run_after(self) -> datetime:
        """Not before then."""
        ...
