"""Everything the service can do, on one page.

A new job is an args class and a handler in its domain's `jobs.py` and one line here; a test
fails when the line is forgotten.
"""

from typing import TYPE_CHECKING, Any

from app.api import models as _api_models  # noqa: F401 -- its tables
from app.backups.jobs import index_backup, purge_backup
from app.documents.jobs import (
    RenewDocuments,
    extract_document,
    index_document,
    purge_document,
    renew_documents,
)
from app.embedding import models as _embedding_models  # noqa: F401 -- its tables
from app.jobs import models as _job_models  # noqa: F401 -- its tables
from app.jobs.maintenance import Prune, prune, rescue
from app.jobs.schedule import Schedule
from app.jobs.spec import Job, Registry
from app.notes.jobs import SendReminders, regenerate_embeddings, send_reminders
from app.releases.jobs import run_build, run_deployment
from app.usage.jobs import CleanupReservations, cleanup_reservations

if TYPE_CHECKING:
    from fastapi import APIRouter

JOBS: list[Job[Any]] = [
    index_backup,
    purge_backup,
    extract_document,
    index_document,
    purge_document,
    regenerate_embeddings,
    send_reminders,
    cleanup_reservations,
    renew_documents,
    run_build,
    run_deployment,
    prune,
    rescue,
]
SCHEDULES: list[Schedule] = [
    Schedule("prune", (17,), Prune),
    Schedule("check_and_send_reminders", (0, 15, 30, 45), SendReminders),
    Schedule("cleanup_stale_reservations", tuple(range(0, 60, 5)), CleanupReservations),
    Schedule("renew_documents", (3, 18, 33, 48), RenewDocuments),
]


def registry() -> Registry:
    """The jobs of this service."""
    return Registry(JOBS)


def routers() -> "list[APIRouter]":
    """The routes of this service; a worker needs none, and starts in half the time without."""
    from app.backups import routes as backups
    from app.dashboard import routes as dashboard
    from app.documents import routes as documents
    from app.notes.routes import notes, reminders, semantic
    from app.releases import routes as releases
    from app.search import routes as search
    from app.usage import routes as usage

    return [
        backups.router,
        documents.router,
        notes,
        semantic,
        reminders,
        releases.router,
        search.router,
        usage.router,
        dashboard.router,
    ]
