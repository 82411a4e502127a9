"""How much work one user may start: RATE_LIMIT_PER_MINUTE and MAX_ACTIVE_JOBS_PER_USER.

Both are counted in the jobs' table, so that they hold over all processes; the user's own row is
locked meanwhile, so that of many requests at one moment none slips through.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.models import UserRow
from app.core.columns import now
from app.core.errors import TooMany
from app.jobs.store import read

_WINDOW = timedelta(minutes=1)
_ACTIVE_RETRY = 5.0  # seconds; when one of the jobs ends is not known


class Limits:
    """The limits of one request."""

    def __init__(self, user_id: UUID, *, per_minute: int | None, active: int | None) -> None:
        self.user_id = user_id
        self._per_minute = per_minute
        self._active = active

    async def check(self, session: AsyncSession) -> None:
        """Let the request pass. Raises `TooMany`."""
        if self._per_minute is None and self._active is None:
            return
        lock = select(UserRow.id).where(UserRow.id == self.user_id).with_for_update()
        await session.execute(lock)
        if self._per_minute is not None:
            await self._check_rate(session, self._per_minute)
        if self._active is not None:
            active = await read.active_of(session, self.user_id)
            if active >= self._active:
                raise TooMany(
                    f"{active} of your jobs are queued or running; the limit is {self._active}",
                    code="too_many_active_jobs",
                    retry_after=_ACTIVE_RETRY,
                )

    async def _check_rate(self, session: AsyncSession, limit: int) -> None:
        nth = await read.nth_newest(session, self.user_id, limit)
        if nth is None:
            return
        present = (await session.execute(select(now()))).scalar_one()
        left = (nth + _WINDOW - present).total_seconds()
        if left > 0:
            raise TooMany(
                f"more than {limit} requests for work in a minute",
                code="rate_limited",
                retry_after=left,
            )
