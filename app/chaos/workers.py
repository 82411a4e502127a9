"""The worker processes of chaos: started, watched, started again, each life on record."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from app.chaos import proc
from app.settings import Settings

BLOCKED = 75  # the watchdog's exit code; right for a process that was frozen
_ENGINES = ("arq", "database", "arq", "database")
_STOP_SECONDS = 30.0  # a database that hangs for ten seconds included
_WATCH_SECONDS = 0.25
_SAMPLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process used at one moment."""

    at: float
    resident_bytes: int
    open_files: int


@dataclass(slots=True, eq=False)
class Life:
    """One worker process from its start to its end."""

    name: str
    pid: int
    began: float
    samples: list[Sample] = field(default_factory=list)
    told: signal.Signals | None = None  # the signal by which chaos ended it
    frozen: bool = False  # whether it ever was
    code: int | None = None


class Worker:
    """A place for one worker process: whoever ends there, another one follows."""

    def __init__(self, name: str, start: Callable[[], "subprocess.Popen[bytes]"]) -> None:
        self.name = name
        self.lives: list[Life] = []
        self.in_hand = False  # a fault has it, so nobody else starts or samples it
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def life(self) -> Life:
        """The present process, or the last one."""
        return self.lives[-1]

    @property
    def pid(self) -> int:
        """Of the present process."""
        return self.life.pid

    def start(self) -> None:
        """Start a process here; the one before has ended."""
        self._process = self._start()
        self.lives.append(Life(self.name, self._process.pid, time.monotonic()))

    def ended(self) -> bool:
        """Whether the present process has ended; its exit code is noted."""
        assert self._process is not None
        self.life.code = self._process.poll()
        return self.life.code is not None

    def kill(self) -> None:
        """End it as the out-of-memory killer would."""
        self._tell(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    async def stop(self) -> None:
        """Tell it to hand back its work (SIGTERM), and wait until it has ended."""
        self._tell(signal.SIGTERM)
        assert self._process is not None
        try:
            await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def sample(self) -> None:
        """Note what it uses now."""
        with suppress(OSError):
            used = proc.resident_bytes(self.pid), proc.open_files(self.pid)
            self.life.samples.append(Sample(time.monotonic(), *used))

    def _tell(self, how: signal.Signals) -> None:
        if not self.ended():
            self.life.told = how
            proc.send(how, self.pid)


class Crew:
    """All workers, two of each engine."""

    def __init__(self, settings: Settings, folder: Path, log: Path) -> None:
        """They work in `folder`, and write to `log`."""
        self._environment = _environment(settings)
        self._folder = folder
        self._log = log
        self.workers: Sequence[Worker] = [
            Worker(f"{engine}-{number}", partial(self._open, engine))
            for number, engine in enumerate(_ENGINES, 1)
        ]

    def start(self) -> None:
        """Start every worker."""
        for worker in self.workers:
            worker.start()

    async def watch(self) -> None:
        """Start again what ends by itself, and note what each uses, until cancelled."""
        sampled = 0.0
        while True:
            due = time.monotonic() - sampled > _SAMPLE_SECONDS
            sampled = time.monotonic() if due else sampled
            for worker in self.workers:
                if worker.in_hand:
                    continue
                if worker.ended():
                    worker.start()
                elif due:
                    worker.sample()
            await asyncio.sleep(_WATCH_SECONDS)

    async def stop(self) -> None:
        """Stop all of them, in order."""
        await asyncio.gather(*(worker.stop() for worker in self.workers))
        for worker in self.workers:
            worker.ended()

    @property
    def lives(self) -> list[Life]:
        """Every process there was."""
        return [life for worker in self.workers for life in worker.lives]

    def _open(self, engine: str) -> "subprocess.Popen[bytes]":
        command: list[str | Path] = [sys.executable, "-m", "app.chaos.database_worker"]
        if engine == "arq":
            arq = Path(sys.executable).with_name("arq")
            command = [arq, "app.chaos.arq_worker.WorkerSettings"]
        with self._log.open("ab") as out:
            return subprocess.Popen(
                command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C is for chaos alone
            )


def _environment(settings: Settings) -> Mapping[str, str]:
    """What a worker of chaos sees, and nothing of this machine's."""
    ours = os.environ  # noqa: TID251 -- handed on, not read
    kept = {name: ours[name] for name in ("PATH", "HOME", "LANG") if name in ours}
    assert settings.redis_url is not None
    return kept | {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "DATA_DIR": str(settings.data_dir),
        "JOB_LEASE_SECONDS": str(settings.job_lease_seconds),
        "ARQ_MAX_JOBS": str(settings.arq_max_jobs),
        "LOG_LEVEL": "info",
        "LOG_FORMAT": "json",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
