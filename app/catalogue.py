"""Everything the service can do, on one page.

A new job is an args class and a handler in its domain's `jobs.py` and one line here; a test
fails when the line is forgotten.
"""

from typing import Any

from fastapi import APIRouter

from app.api import models as _api_models  # noqa: F401 -- its tables
from app.backups import routes as backups
from app.backups.jobs import index_backup, purge_backup
from app.documents import routes as documents
from app.documents.jobs import extract_document, purge_document
from app.jobs import models as _job_models  # noqa: F401 -- its tables
from app.jobs.maintenance import Prune, prune, rescue
from app.jobs.schedule import Schedule
from app.jobs.spec import Job, Registry
from app.search import routes as search

JOBS: list[Job[Any]] = [
    index_backup,
    purge_backup,
    extract_document,
    purge_document,
    prune,
    rescue,
]
SCHEDULES: list[Schedule] = [Schedule("prune", (17,), Prune)]
ROUTERS: list[APIRouter] = [backups.router, documents.router, search.router]


def registry() -> Registry:
    """The jobs of this service."""
    return Registry(JOBS)
