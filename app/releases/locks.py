"""Locks that the kernel drops with their holder, whatever ends it."""

import os
import sys

from app.core.errors import AppError


class NoLocks(AppError):
    """Builds and deployments need a POSIX system."""

    code = "not_supported"


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file or folder for this descriptor and its copies; False: somebody else has it.

    Raises `NoLocks` on Windows.
    """
    if sys.platform == "win32":
        raise NoLocks("Builds and deployments do not run on Windows.")
    import fcntl  # noqa: PLC0415 -- POSIX only

    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: os.PathLike[str]) -> bool:
    """Whether somebody holds the lock of a file; one that is not there has none."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not try_lock(descriptor, shared=True)  # two who look do not see each other
    finally:
        os.close(descriptor)
