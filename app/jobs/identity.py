"""Who a worker is: enough to tell, on the same host, whether it is still there.

`<host>:<boot>:<pid namespace>:<pid>:<start time>`. A pid alone says nothing after a reboot, in
another container, or once the number has been used again.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from app.core.clock import boot_id


@dataclass(frozen=True, slots=True)
class Identity:
    """One worker process."""

    host: str
    boot: str
    namespace: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"{self._place}{self.pid}:{self.started}"

    @property
    def prefix(self) -> str:
        """What all workers share that this process can look at; empty where it cannot look."""
        if not self.boot or not self.started:
            return ""
        return self._place

    @property
    def _place(self) -> str:
        return f"{self.host}:{self.boot}:{self.namespace}:"

    def is_gone(self, worker_id: str) -> bool:
        """Whether another worker of this host is certainly dead. A stopped process is alive."""
        if not self.prefix or not worker_id.startswith(self.prefix):
            return False
        pid, _, started = worker_id.removeprefix(self.prefix).partition(":")
        if not pid.isdigit():
            return False
        try:
            return _start_time(int(pid)) != started
        except OSError:
            return False


def own_identity() -> Identity:
    """The identity of this process."""
    try:
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        namespace = "0"
    host = socket.gethostname().replace(":", "-")[:60]
    try:
        started = _start_time(os.getpid()) or ""
    except OSError:
        started = ""
    return Identity(host, boot_id(), namespace, os.getpid(), started)


def _start_time(pid: int) -> str | None:
    """Start time of a live process in clock ticks since boot; None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None  # any other error means that it is there and hidden from us
    fields = stat.rpartition(")")[2].split()  # the command's name may hold anything
    return None if fields[0] in ("Z", "X") else fields[19]
