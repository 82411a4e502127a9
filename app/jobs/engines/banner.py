"""The first lines of every worker: what it is connected to and what it will do."""

import logging
from typing import TYPE_CHECKING

from app.core.logging import without_secrets
from app.jobs.spec import Registry
from app.jobs.worker import Share

if TYPE_CHECKING:
    from app.settings import Settings

log = logging.getLogger("worker")


def announce(settings: "Settings", share: Share, registry: Registry, database: str) -> None:
    """Log Redis (no password), database, queues, max jobs, timeout and registered tasks."""
    redis = settings.redis_url
    functions = [registry[kind].function for kind in share.kinds or registry]
    log.info("worker starting", extra={"engine": share.engine})
    log.info("redis: %s", without_secrets(redis.get_secret_value()) if redis else "not used")
    log.info("database: %s", database)
    log.info("queues: %s", ", ".join(share.queues) or "all")
    log.info("max jobs: %d, timeout: %g s", share.max_jobs, settings.arq_job_timeout)
    log.info("registered tasks: %s", ", ".join(functions) or "none")
