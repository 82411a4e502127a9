"""`python -m app.worker`: a worker on the database engine for all queues."""

from app.core.failpoints import arm
from app.core.logging import configure_logging
from app.core.loops import run
from app.jobs.worker import Share
from app.settings import load_settings
from app.worker.database import run_database_worker


def main() -> None:
    """Read the environment and work until told to stop."""
    settings = load_settings()
    configure_logging(level=settings.log_level, json_lines=settings.json_logs)
    arm(settings.failpoint)
    share = Share(engine="database", max_jobs=settings.arq_max_jobs)
    run(run_database_worker(settings, share))


if __name__ == "__main__":
    main()
