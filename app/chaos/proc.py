"""What Linux tells of running processes, in /proc."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def is_there() -> bool:
    """Whether this system has what chaos reads."""
    return Path("/proc/self/statm").exists()


def children_of(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    return [each for each in _all() if _parent(each) == pid]


def working_below(folder: Path) -> list[int]:
    """The live processes whose working folder is `folder` or below it; never this one."""
    found = []
    for pid in _all():
        with suppress(OSError):
            where = Path(f"/proc/{pid}/cwd").readlink()
            if pid != os.getpid() and where.is_relative_to(folder):
                found.append(pid)
    return found


def resident_bytes(pid: int) -> int:
    """The memory of a live process that is not swapped out."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def open_files(pid: int) -> int:
    """How many descriptors a live process holds."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Stop processes (SIGSTOP) while the block lasts."""
    try:
        send(signal.SIGSTOP, *pids)
        yield
    finally:
        send(signal.SIGCONT, *pids)


def send(how: signal.Signals, *pids: int) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, how)


def _all() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _parent(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])  # the command's name may hold anything
