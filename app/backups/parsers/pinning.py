"""Opening the very file that was checked, whatever is swapped for it meanwhile.

A path that was resolved has no symbolic link in it. Here it is walked from the root, and a link
that has come into it since is refused at whatever step it stands; nothing can be swapped between
the check and the opening, because the opening is the check.
"""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")  # Linux; elsewhere the last look is just before the opening
_PINS = hasattr(os, "O_PATH") and os.open in os.supports_dir_fd and _DESCRIPTORS.is_dir()

Opened = tuple[int, int, int]  # descriptor, device, inode


@contextmanager
def pinned(path: Path) -> Generator[Path]:
    """A path that leads to the file or folder at `path`, as long as the block lasts.

    Raises:
        OSError: it is not there, or there is a link on the way (ELOOP, ENOTDIR).
    """
    if not _PINS:
        if path.resolve(strict=True) != path:
            raise OSError(f"{path.name} is a link now.")
        yield path
        return
    descriptor = _open(path)
    try:
        yield _DESCRIPTORS / str(descriptor)
    finally:
        os.close(descriptor)


def insist_on(path: Path, opened: set[Opened]) -> None:
    """Make sure that a library that opens by name has opened what `path`, from `pinned`, leads to.

    SQLite follows links itself, `/proc/self/fd/7` too, and then opens by the name it has found.

    Args:
        path: what it was told to open.
        opened: `descriptors()` from before it did.

    Raises:
        OSError: it has opened something else, that was swapped in meanwhile.
    """
    if path.parent != _DESCRIPTORS:
        return
    wanted = path.stat()
    new = {(device, inode) for _, device, inode in descriptors() - opened}
    if (wanted.st_dev, wanted.st_ino) not in new:
        raise FileNotFoundError(errno.ENOENT, "it was exchanged while it was opened")


def descriptors() -> set[Opened]:
    """What this process has open; empty where the system does not tell."""
    found = set()
    for path in _DESCRIPTORS.iterdir() if _PINS else ():
        with suppress(OSError):  # the descriptor of the listing itself
            status = os.fstat(int(path.name))
            found.add((int(path.name), status.st_dev, status.st_ino))
    return found


def _open(path: Path) -> int:
    # O_NONBLOCK: a pipe would keep us waiting for somebody who writes. O_PATH: folders on the way
    # need not be readable.
    final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    walk = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    at = os.open(path.anchor, walk)
    for number, name in enumerate(path.parts[1:], 2):
        last = number == len(path.parts)
        try:
            step = os.open(name, final if last else walk, dir_fd=at)
        finally:
            os.close(at)
        at = step
    return at
