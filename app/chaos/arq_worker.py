"""What the plain `arq` command runs for chaos."""

from app.chaos.kinds import registry
from app.core.loops import use_everywhere
from app.jobs.engines.arq_worker import arq_settings
from app.settings import load_settings

use_everywhere()
WorkerSettings = type("WorkerSettings", (), arq_settings(load_settings(), registry(), ()))
