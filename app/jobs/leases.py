"""The leases of one process: renewed together, and given up when they cannot be.

A worker that is cut off from its database hears from nobody that its lease has ended and its job
is somebody else's. Its own boot clock tells it: then it stops what it does, in time.
"""

import asyncio
import logging

from app.core.clock import boot_seconds
from app.core.db import Database
from app.jobs.runner import Runner, Stop
from app.jobs.store import steps

log = logging.getLogger("worker")

LOOK_SECONDS = 0.25
_LATE = 1.5  # a look this late, in seconds, means that this process or machine had stopped
_GRACE = 2.0  # after that the renewal goes first


class Leases:
    """Sees to the leases of everything that `runner` runs."""

    def __init__(self, db: Database, runner: Runner, seconds: float) -> None:
        """Renew for so many `seconds` each time."""
        self.lost = 0
        self._db = db
        self._runner = runner
        self._seconds = seconds
        self._looked = boot_seconds()
        self._grace_until = 0.0

    async def renew(self) -> None:
        """Renew all in one statement, and hear who was asked to stop or has lost his."""
        held = {a.claim.id: a.claim.lease_token for a in self._runner.attempts.values()}
        if not held:
            return
        asked = boot_seconds()
        async with (
            asyncio.timeout(max(2.0, self._seconds / 2)),
            self._db.transaction() as session,
        ):
            renewed = await steps.renew(session, held, self._seconds)
        for job_id, token in held.items():
            attempt = self._runner.attempts.get(job_id)
            if attempt is None or attempt.ending or attempt.claim.lease_token != token:
                continue  # over, or claimed anew while the answer was on its way
            if job_id not in renewed:
                self.lost += 1
                self._runner.stop(job_id, Stop.LOST)
                continue
            if attempt.ctx is not None:
                attempt.ctx.renewed(asked)
            if renewed[job_id]:
                self._runner.stop(job_id, Stop.CANCEL)

    async def give_up(self) -> None:
        """Stop what runs on a lease that has ended without an answer from the database."""
        moment = boot_seconds()
        if moment - self._looked > _LATE:
            self._grace_until = moment + _GRACE
        self._looked = moment
        if moment < self._grace_until:
            return
        for job_id, attempt in list(self._runner.attempts.items()):
            if attempt.ctx is None or attempt.ending or attempt.stop is not None:
                continue
            if attempt.ctx.lease_ends < moment:
                log.warning("lease not renewed in time; stopping", extra={"job_id": str(job_id)})
                self._runner.stop(job_id, Stop.CUT_OFF)
