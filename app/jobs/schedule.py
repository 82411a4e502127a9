"""Cron: the clock only knocks; the insert decides.

A knock carries no slot. The slot is computed from the database's clock, its row is unique, and
nothing is inserted for a slot that lies ahead. So each slot has one row, however many workers
knock and whatever their own clocks say; after a pause only the latest missed slot is made up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import now
from app.core.db import Database
from app.jobs.queue import JobQueue
from app.jobs.spec import JobArgs
from app.jobs.store.insert import store_slot


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that is asked for at fixed minutes of every hour, by the clock in UTC."""

    name: str
    minutes: tuple[int, ...]
    args: Callable[[], JobArgs]

    def latest_slot(self, moment: datetime) -> datetime:
        """The last slot that is not after `moment`."""
        hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        past = [hour + timedelta(minutes=minute) for minute in self.minutes]
        due = [slot for slot in past if slot <= moment]
        return max(due) if due else hour - timedelta(minutes=60 - max(self.minutes))

    def next_slot(self, moment: datetime) -> datetime:
        """The first slot after `moment`."""
        hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        ahead = [hour + timedelta(minutes=minute) for minute in self.minutes]
        later = [slot for slot in ahead if slot > moment]
        return min(later) if later else hour + timedelta(minutes=60 + min(self.minutes))


class Clockwork:
    """The schedules of a service."""

    def __init__(self, db: Database, queue: JobQueue, schedules: Sequence[Schedule]) -> None:
        """Ask for the jobs of `schedules` through `queue`."""
        self.schedules = schedules
        self._db = db
        self._queue = queue

    async def knock(self) -> float:
        """Ask for every slot that is due and has no row yet.

        Returns:
            Seconds until the next slot, by the database's clock.
        """
        return await self._db.run(self._knock)

    async def _knock(self, session: AsyncSession) -> float:
        moment = (await session.execute(select(now()))).scalar_one()
        for schedule in self.schedules:
            request = self._queue.request(schedule.args())
            slot = schedule.latest_slot(moment)
            stored = await store_slot(session, request, schedule.name, slot)
            if stored is not None:
                self._queue.ring_after(session, stored)
        ahead = [schedule.next_slot(moment) for schedule in self.schedules]
        return (min(ahead) - moment).total_seconds() if ahead else 3600.0
