"""What the real `arq` command runs in the conformance suite."""

from app.core.loops import use_everywhere
from app.jobs.engines.arq_worker import arq_settings
from app.settings import load_settings
from tests.engines.jobs import registry

use_everywhere()
WorkerSettings = type("WorkerSettings", (), arq_settings(load_settings(), registry(), []))
