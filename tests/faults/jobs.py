"""The jobs of the fault tests beside those of the conformance suite."""

from typing import Any

from app.jobs.spec import Job, Registry
from tests.engines import jobs as engine_jobs

JOBS: list[Job[Any]] = []


def registry() -> Registry:
    return Registry([*engine_jobs.registry().values(), *JOBS])
