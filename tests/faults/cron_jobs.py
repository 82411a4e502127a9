"""The faults' jobs with a schedule whose slots are seconds apart, so that a test sees many."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.jobs.schedule import Schedule
from tests.faults.jobs import Write, registry

__all__ = ["PERIOD", "SCHEDULES", "registry"]

PERIOD = timedelta(seconds=3)
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EverySeconds(Schedule):
    """Slots every `period`; `minutes` is when arq's own cron knocks besides."""

    period: timedelta = PERIOD

    def latest_slot(self, moment: datetime) -> datetime:
        return _EPOCH + (moment - _EPOCH) // self.period * self.period

    def next_slot(self, moment: datetime) -> datetime:
        return self.latest_slot(moment) + self.period


SCHEDULES = (EverySeconds("often", tuple(range(60)), lambda: Write(items=1)),)
