"""Everything the service can do, on one page."""

from typing import Any

from app.jobs import models as _models  # noqa: F401 -- its tables
from app.jobs.schedule import Schedule
from app.jobs.spec import Job, Registry

JOBS: list[Job[Any]] = []
SCHEDULES: list[Schedule] = []


def registry() -> Registry:
    """The jobs of this service."""
    return Registry(JOBS)
