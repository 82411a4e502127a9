"""Runs one command so that nothing of it is left when this process has ended.

    python -I -S guard.py

It stands alone, on the standard library, between a worker and a recipe. The worker holds the
other end of stdin: a frame (4 bytes of length, then JSON) says what to run, and after it come
numbers of 8 bytes: until when the worker's lease lasts, by the boot clock, or -1 to stop the
command. The command writes to stdout; what became of it is one line of JSON on stderr.

Everything that the command started is killed when it ends, when the pipe closes (the worker is
gone, also by kill -9 of its pid alone), when the lease has ended (the worker is frozen), or when
the disk is. This process is the reaper of its orphans, so also those that have left their group
and session are found; it ends only when there are none. While it lives it holds a lock, the last
descriptor that it was given, by which another worker sees that the command may still be at work.
"""

import ctypes
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

STOP = -1.0  # in place of a lease: SIGTERM now, SIGKILL after the grace
LENGTH_BYTES = 4

_TICK = 0.1  # seconds between two looks at the lease and the disk
_LEAVE_SECONDS = 1.0  # for processes that a command leaves behind, and that are about to end
_FREE_BYTES = 256 << 20  # of the disk, or a twentieth of it: more than is written in one tick
_WEIGH_SECONDS = 0.5  # between two weighings of the folder, at least
_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", 0))
_SET_CHILD_SUBREAPER, _SET_PDEATHSIG = 36, 1
_OOM_FIRST = "900"  # when memory is out, the recipe goes before the worker
_SIGNALS = [getattr(signal, name, signal.SIGTERM) for name in ("SIGINT", "SIGTERM", "SIGHUP")]


@dataclass(frozen=True)
class Order:
    """What to run: the command in `cwd`, with nothing but `env`.

    `folder` is what is weighed against `disk_bytes`; `grace` are seconds from SIGTERM to SIGKILL.
    """

    command: list[str]
    cwd: str
    env: dict[str, str]
    folder: str
    disk_bytes: int
    grace: float
    lease_ends: float


def main() -> None:
    """Run the command that stdin names; say on stderr how it ended."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a stopping worker decides, not its process group
    order = Order(**json.loads(_read(int.from_bytes(_read(LENGTH_BYTES), "big"))))
    _prctl(_SET_CHILD_SUBREAPER, 1)
    news = _news_of_children()
    try:
        child = _start(order)
    except OSError as error:
        _tell(how="start", detail=f"{order.command[0]}: {error.strerror}")
        return
    watch = _Watch(child, order, news)
    how = watch.until_over()
    left = watch.leave_nothing(wait=_LEAVE_SECONDS if how == "exit" else 0.0)
    _tell(how=how, status=watch.status, left=left)


class _Watch:
    """A started command, looked after until it and all its kin are gone."""

    def __init__(self, child: "subprocess.Popen[bytes]", order: Order, news: int) -> None:
        self.status: int | None = None
        self._child, self._order, self._news = child, order, news
        self._lease_ends = order.lease_ends
        self._kill_at: float | None = None
        self._weigh_at = 0.0
        self._told = b""

    def until_over(self) -> str:
        """Wait for the command's end, or for a reason to end it; in a word."""
        while True:
            self._reap()
            if self.status is not None:
                return "exit" if self._kill_at is None else "stopped"
            now = time.clock_gettime(_CLOCK)
            if now > self._lease_ends:
                return "lease"
            if self._kill_at is not None and now > self._kill_at:
                return "stopped"
            if full := self._disk(now):
                return full
            if not self._listen(now):
                return "worker"

    def leave_nothing(self, wait: float) -> int:
        """Kill whatever is left of the command, until there is nothing; how many there were.

        With `wait`, what ends by itself within so many seconds does not count.
        """
        until = time.clock_gettime(_CLOCK) + wait
        while self._reap() and (now := time.clock_gettime(_CLOCK)) < until:
            if not self._listen(now):
                break
        left: set[int] = set()
        while self._reap():
            kin = descendants(os.getpid())
            left |= kin
            for group in {_group(pid) for pid in kin | {self._child.pid}} - {0, os.getpgrp()}:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)  # at once, so that forks do not outrun it
            select.select([], [], [], 0.01)
        return len(left - {self._child.pid})

    def _reap(self) -> bool:
        """Take leave of who has ended; whether anybody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == self._child.pid:
                self.status = self._child.returncode = os.waitstatus_to_exitcode(status)
            if pid == 0:
                return True

    def _listen(self, now: float) -> bool:
        """Hear the worker and the children for one tick; False when the worker is gone."""
        ready = select.select([0, self._news], [], [], _TICK)[0]
        if self._news in ready:
            os.read(self._news, 4096)
        if 0 not in ready:
            return True
        heard = os.read(0, 4096)
        self._told += heard
        while len(self._told) >= 8:
            (value,) = struct.unpack("!d", self._told[:8])
            self._told = self._told[8:]
            if value != STOP:
                self._lease_ends = value
            elif self._kill_at is None:
                self._kill_at = now + self._order.grace
                with suppress(ProcessLookupError):
                    os.killpg(self._child.pid, signal.SIGTERM)
        return bool(heard)

    def _disk(self, now: float) -> str | None:
        """`full` when the disk nearly is, `large` when the folder holds more than it may."""
        space = os.statvfs(self._order.folder)
        floor = min(_FREE_BYTES, space.f_blocks * space.f_frsize // 20)
        if space.f_bavail * space.f_frsize < floor:
            return "full"
        if now < self._weigh_at:
            return None
        began = time.monotonic()
        if _weight(self._order.folder, self._order.disk_bytes) > self._order.disk_bytes:
            return "large"
        # A large tree takes long to weigh: at most a tenth of the time goes into it.
        self._weigh_at = now + max(_WEIGH_SECONDS, 10 * (time.monotonic() - began))
        return None


def descendants(ancestor: int) -> set[int]:
    """The pids of all living descendants of a process; empty where there is no /proc."""
    parents: dict[int, int] = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 -- pathlib is a slow import
    except OSError:
        return set()
    for name in filter(str.isdigit, names):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in (b"Z", b"X"):
            parents[int(name)] = int(fields[1])
    return {pid for pid in parents if _leads_to(pid, ancestor, parents)}


def _leads_to(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    for _ in range(len(parents)):
        pid = parents.get(pid, 0)
        if pid in (0, ancestor):
            break
    return pid == ancestor


def _start(order: Order) -> "subprocess.Popen[bytes]":
    import resource  # noqa: PLC0415 -- POSIX only, and the worker imports this module too

    def prepare() -> None:
        for number in (*_SIGNALS, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _soft, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = order.disk_bytes if most == resource.RLIM_INFINITY else min(order.disk_bytes, most)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write(_OOM_FIRST)

    return subprocess.Popen(  # noqa: S603 -- the operator's list of arguments, no shell
        order.command,
        cwd=order.cwd,
        env=order.env,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509 -- this process has one thread
    )


def _news_of_children() -> int:
    """A descriptor that can be read whenever a child has ended."""
    news, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    return news


def _weight(folder: str, enough: int) -> int:
    """Bytes on disk below `folder`, counted until they are more than `enough`."""
    total, waiting = 0, [folder]
    while waiting and total <= enough:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:  # gone, or closed to us
            for entry in entries:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return total


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _prctl(what: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)


def _read(count: int) -> bytes:
    content = b""
    while len(content) < count:
        more = os.read(0, count - len(content))
        if not more:
            os._exit(0)  # the worker went away before it had said what to do
        content += more
    return content


def _tell(**facts: object) -> None:
    with suppress(BrokenPipeError):
        os.write(2, json.dumps(facts).encode() + b"\n")


if __name__ == "__main__":
    main()
