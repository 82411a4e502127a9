"""Real worker processes for tests: started, watched, killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from app.settings import Settings

ROOT = Path(__file__).parent.parent


def environment(settings: Settings, **changes: str) -> dict[str, str]:
    """The environment of a process that shall see `settings`, and nothing of this machine's."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    given = {
        "DATABASE_URL": settings.database_url,
        "DATA_DIR": str(settings.data_dir),
        "JOB_LEASE_SECONDS": str(settings.job_lease_seconds),
        "ARQ_MAX_JOBS": str(settings.arq_max_jobs),
        "SHUTDOWN_GRACE_SECONDS": str(settings.shutdown_grace_seconds),
        "WORKER_POLL_INTERVAL": str(settings.worker_poll_interval),
        "LOG_LEVEL": "info",
        "LOG_FORMAT": "json",
        "PYTHONPATH": str(ROOT),
    }
    if settings.redis_url is not None:
        given["REDIS_URL"] = settings.redis_url.get_secret_value()
    return kept | given | changes


def start_worker(engine: str, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a worker of `engine` (arq or database) that writes to `log`.

    It knows the jobs of the module that TEST_JOBS in `env` names, else the conformance suite's.
    """
    if engine == "arq":
        arq = str(Path(sys.executable).with_name("arq"))
        command = [arq, "tests.engines.arq_worker.WorkerSettings"]
    else:
        command = [sys.executable, "-m", "tests.engines.database_worker"]
    with log.open("ab") as out:
        return subprocess.Popen(command, env=dict(env), cwd=ROOT, stdout=out, stderr=out)


def end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> int:
    """End a process that was started here; its exit code."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
    try:
        return process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(timeout=5)


@contextmanager
def worker(engine: str, env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process while the block lasts."""
    process = start_worker(engine, env, log)
    try:
        yield process
    finally:
        end(process)
