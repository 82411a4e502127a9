"""Which jobs and schedules a test's worker process knows: those of the module TEST_JOBS."""

import os
from collections.abc import Sequence
from importlib import import_module

from app.jobs.schedule import Schedule
from app.jobs.spec import Registry


def known() -> tuple[Registry, Sequence[Schedule]]:
    module = import_module(os.environ.get("TEST_JOBS", "tests.engines.jobs"))
    return module.registry(), getattr(module, "SCHEDULES", ())
