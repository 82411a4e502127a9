"""The reminders' job for real workers, asked for every second so that several run at once."""

from datetime import timedelta

from app.jobs.spec import Registry
from app.notes.jobs import SendReminders, send_reminders
from tests.faults.cron_jobs import EverySeconds

SCHEDULES = (EverySeconds("often", tuple(range(60)), SendReminders, period=timedelta(seconds=1)),)


def registry() -> Registry:
    return Registry([send_reminders])
