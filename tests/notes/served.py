"""The jobs on notes and reminders for real workers; reminders are asked for every second."""

from datetime import timedelta

from app.jobs.spec import Registry
from app.notes.jobs import SendReminders, regenerate_embeddings, send_reminders
from tests.faults.cron_jobs import EverySeconds

SCHEDULES = (EverySeconds("often", tuple(range(60)), SendReminders, period=timedelta(seconds=1)),)


def registry() -> Registry:
    return Registry([regenerate_embeddings, send_reminders])
