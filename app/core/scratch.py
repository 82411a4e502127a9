"""Private folders for what must not outlive its job, not even when the process is killed.

Each folder has a lock file beside it that its owner holds. The system lets go of it when the owner
ends, however that happens; whoever finds a lock that nobody holds removes folder and lock.
"""

import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing tells whether an owner lives, so only owners clean up
    _LOCKS = False
else:
    _LOCKS = True


@contextmanager
def private_folder(root: Path) -> Generator[Path]:
    """An empty folder below `root` that only this user can enter, gone at the end of the block."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    name, lock = _locked(root)
    folder = root / name
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _lock_of(folder).unlink(missing_ok=True)
        os.close(lock)


def sweep(root: Path) -> int:
    """Remove the folders below `root` whose owners are gone; how many there were."""
    removed = 0
    for path in root.glob("*.lock") if _LOCKS else ():
        with suppress(OSError):
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                path.unlink(missing_ok=True)
                removed += 1
            finally:
                os.close(lock)
    return removed


def _locked(root: Path) -> tuple[str, int]:
    """A new name, and the lock on it."""
    while True:
        name = secrets.token_hex(8)
        lock = os.open(
            _lock_of(root / name), os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600
        )
        if not _LOCKS:
            return name, lock
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_nlink:  # else it was swept before it was held
                return name, lock
        os.close(lock)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
