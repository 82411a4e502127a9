"""The ARQ door: `arq app.worker.tasks.WorkerSettings`. Nothing imports this module."""

from app.catalogue import SCHEDULES, registry
from app.core.loops import use_everywhere
from app.jobs.engines.arq_worker import arq_settings
from app.settings import load_settings

use_everywhere()
# A class made of a dictionary, because arq reads a class's own attributes and nothing inherited.
WorkerSettings = type("WorkerSettings", (), arq_settings(load_settings(), registry(), SCHEDULES))
