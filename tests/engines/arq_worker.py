"""What the real `arq` command runs for the conformance suite and the faults."""

from app.core.loops import use_everywhere
from app.jobs.engines.arq_worker import arq_settings
from app.settings import load_settings
from tests.engines.which import known

use_everywhere()
WorkerSettings = type("WorkerSettings", (), arq_settings(load_settings(), *known()))
