"""What the real worker processes of these tests know (TEST_JOBS)."""

from app.jobs.spec import Registry
from app.releases.jobs import run_build, run_deployment


def registry() -> Registry:
    return Registry([run_build, run_deployment])
