"""One command of a recipe, run under a guard (`guard.py`), as its worker holds it."""

import asyncio
import json
import logging
import os
import signal
import struct
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from app.core.errors import AppError, Invalid
from app.releases import guard
from app.releases.locks import is_locked, try_lock

log = logging.getLogger(__name__)

T = TypeVar("T")

GRACE = 0.5  # seconds from SIGTERM to SIGKILL: a cancelled job ends within two
LOCK = "guard.lock"

_GUARD = str(Path(guard.__file__))
_RENEW_SECONDS = 0.25
_READ = 64 * 1024
_QUIET_LOOKS = 4
_TOO_LARGE = getattr(signal, "SIGXFSZ", 25)
_FILE_TOO_LARGE = (-_TOO_LARGE, 128 + _TOO_LARGE)  # the command itself, or under a shell
_PASSED_ON = ("PATH", "LANG")


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, where, and what it may use.

    `home` is a folder of its own, which is also its HOME; the guard's lock lies beside it.
    """

    words: Sequence[str]
    home: Path
    cwd: Path
    env: Mapping[str, str]
    disk_bytes: int

    @property
    def environment(self) -> dict[str, str]:
        """All that the command sees; nothing of the worker's own but where programs are found."""
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}  # noqa: TID251 -- handed down, not read
        return kept | dict(self.env) | {"HOME": str(self.home)}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: `how` is the guard's word, `status` that of `subprocess`.

    `left` are processes that it left behind, and that were killed.
    """

    how: str
    status: int | None = None
    left: int = 0
    detail: str = ""

    def check(self, what: str) -> None:
        """Raise `Invalid` unless the command ended well; `what` names it in the sentence."""
        if self.how == "start":
            raise Invalid(f"{what} could not be started: {self.detail}.", code="not_started")
        if self.how == "full":
            raise Invalid(f"{what} was ended: the disk was nearly full.", code="disk_full")
        if self.how == "large" or self.status in _FILE_TOO_LARGE:
            raise Invalid(f"{what} wrote more than its disk_bytes.", code="too_large")
        if self.how == "lease":
            raise AppError(f"{what} was ended with its worker's lease.", code="worker_lost")
        if self.how != "exit" or self.status is None:
            raise Invalid(f"{what} was ended, and its guard too.", code="guard_lost")
        if self.status < 0:
            name = signal.strsignal(-self.status) or "unknown"
            raise Invalid(f"{what} was ended by signal {-self.status} ({name}).", code="killed")
        if self.status:
            raise Invalid(f"{what} ended with status {self.status}.", code="exit_status")
        if self.left:
            raise Invalid(
                f"{what} left {self.left} processes behind; they were ended.", code="left_processes"
            )


class Running:
    """A command at work. Output and errors of it come out together."""

    def __init__(self, process: asyncio.subprocess.Process, home: Path) -> None:
        self._process, self._home = process, home
        self._output = _name_of_output(process.pid)
        self._end = asyncio.create_task(self._until_ended())

    async def read(self) -> bytes:
        """More output, as it comes; nothing at its end, when all processes are gone."""
        assert self._process.stdout is not None
        return await self._process.stdout.read(_READ)

    def tell(self, value: float) -> None:
        """Tell the guard until when the lease lasts, or to stop."""
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(struct.pack("!d", value))

    async def ended(self) -> Ended:
        """Wait until the command and all that it started are gone."""
        return await asyncio.shield(self._end)

    async def _until_ended(self) -> Ended:
        assert self._process.stderr is not None
        report = await self._process.stderr.read()
        try:
            ended = Ended(**json.loads(report.splitlines()[-1]))
        except (ValueError, TypeError, IndexError):
            ended = Ended("lost")
            log.warning("guard lost", extra={"stderr": report[-500:].decode("utf-8", "replace")})
            # Before the wait: asyncio waits also for the pipe that they hold.
            await asyncio.to_thread(kill_leftovers, self._home, self._output)
        await self._process.wait()
        return ended


@asynccontextmanager
async def guarded(command: Command, lease_ends: Callable[[], float]) -> AsyncGenerator[Running]:
    """Run `command` while the block lasts; at its end nothing of the command is left.

    Leaving early stops it: SIGTERM to its group, SIGKILL after `GRACE`. The lease is the worker's:
    when `lease_ends()`, by the boot clock, is not moved on in time, the guard kills by itself.
    """
    process = await _start(command, lease_ends())
    running = Running(process, command.home)
    keeping = asyncio.create_task(_keep(running, lease_ends))
    drained: asyncio.Task[None] | None = None
    try:
        yield running
    finally:
        keeping.cancel()
        running.tell(guard.STOP)
        drained = asyncio.create_task(_drain(running))
        await to_the_end(running.ended())
        await to_the_end(drained)


async def to_the_end(work: Awaitable[T]) -> T:
    """Wait for `work` also while this task is being cancelled; then go on with being cancelled."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except Exception:  # noqa: BLE001, S110 -- it is the task's, and raised below
            pass
    if cancelled is not None:
        raise cancelled
    return task.result()


def take_lock(folder: Path) -> int:
    """Make the lock of a folder and hold it, by the descriptor that is given back."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    if not try_lock(lock):
        os.close(lock)
        raise AppError("Another guard holds the lock of this folder.", code="guard_lost")
    return lock


def at_work(folder: Path) -> bool:
    """Whether a guard of this host lives that was given the lock of `folder`."""
    return is_locked(folder / LOCK)


def kill_leftovers(home: Path, output: str | None) -> int:
    """Kill whatever has `home` as its HOME or `output` open, once its guard was killed; how many.

    A process at its exec shows no environment for a moment, so a few looks must find nothing.
    """
    mark = b"HOME=" + os.fsencode(home)
    killed: set[int] = set()
    quiet = 0
    while quiet < _QUIET_LOOKS:
        found = {
            pid
            for pid in _pids()
            if pid != os.getpid() and (mark in _environ_of(pid) or _has_open(pid, output))
        }
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        quiet = 0 if found - killed else quiet + 1
        killed |= found
        time.sleep(0.05)  # noqa: TID251 -- called in a thread
    return len(killed)


async def _start(command: Command, lease_ends: float) -> asyncio.subprocess.Process:
    order = guard.Order(
        command=list(command.words),
        cwd=str(command.cwd),
        env=command.environment,
        folder=str(command.home),
        disk_bytes=command.disk_bytes,
        grace=GRACE,
        lease_ends=lease_ends,
    )
    lock = take_lock(command.home.parent)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", _GUARD),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={},
            pass_fds=(lock,),
            start_new_session=True,  # a signal to the worker's group is the worker's to handle
        )
    finally:
        os.close(lock)  # from now on the guard's alone: a frozen worker must not hold it
    body = json.dumps(order.__dict__).encode()
    assert process.stdin is not None
    process.stdin.write(len(body).to_bytes(guard.LENGTH_BYTES, "big") + body)
    return process


async def _keep(running: Running, lease_ends: Callable[[], float]) -> None:
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        running.tell(lease_ends())


async def _drain(running: Running) -> None:
    while await running.read():
        pass


def _pids() -> list[int]:
    try:
        return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    except OSError:
        return []


def _name_of_output(pid: int) -> str | None:
    """How /proc names what a process writes to, in whoever holds it too."""
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/fd/1")  # noqa: PTH115 -- no path
    return None


def _has_open(pid: int, name: str | None) -> bool:
    try:
        return any(os.readlink(each) == name for each in Path(f"/proc/{pid}/fd").iterdir())  # noqa: PTH115 -- no file
    except OSError:
        return False


def _environ_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
