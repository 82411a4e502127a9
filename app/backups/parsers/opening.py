"""How a SQLite file that a stranger may have written is opened.

Nothing is ever written beside or into the source: a database without write-ahead log is opened
where it lies, `immutable`; for one with a log (or a cut-off end) a private copy is made.

Source: docs/formats.md, Opening a database; sqlite.org/security.html.
"""

import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from app.backups.parsers.errors import Corrupt, Encrypted
from app.backups.parsers.pinning import descriptors, insist_on, pinned

MAGIC = b"SQLite format 3\0"
HEAD_BYTES = 4096  # what is looked at before SQLite sees the file
MAX_PADDING = 4  # a cut-off file is lengthened to at most so many times its size

_STEPS_PER_CHECK = 10_000  # virtual machine steps between looks at the clock
_LIMITS = (
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_LENGTH, 64 * 2**20),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (sqlite3.SQLITE_LIMIT_VDBE_OP, 25_000),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 50),
    (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
)
_PRAGMAS = (
    "trusted_schema=OFF",
    "query_only=ON",
    "cell_size_check=ON",
    "mmap_size=0",
    "temp_store=MEMORY",
    "locking_mode=EXCLUSIVE",  # a private copy then needs no shared-memory file
)
_ALLOWED = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)


def prepare(path: Path, wal: Path | None, scratch: Path, pins: ExitStack) -> tuple[Path, str]:
    """The file to open and the URI parameters to open it with.

    Args:
        path: the database.
        wal: its write-ahead log, or None for `<path>-wal` if that exists.
        scratch: an empty private folder for a copy, should one be needed.
        pins: closed when the file is open.

    Raises:
        OSError: a file cannot be read, or there is a symbolic link on the way to it.
        Encrypted: the bytes look like ciphertext.
        Corrupt: this is no SQLite database.
    """
    same = pins.enter_context(pinned(path))
    status = same.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Corrupt(f"{path.name} is not a regular file.")
    with same.open("rb") as file:
        head = file.read(HEAD_BYTES)
    check_header(path.name, head, status.st_size)
    log = wal if wal is not None else path.with_name(path.name + "-wal")
    with_log = log.is_file() and not log.is_symlink() and log.stat().st_size > 0
    full_size = _declared_size(head)
    cut_off = status.st_size < full_size <= status.st_size * MAX_PADDING
    if not with_log and not cut_off:
        return same, "mode=ro&immutable=1"
    copy = scratch / "copy.sqlite"
    shutil.copyfile(same, copy)
    if with_log:
        shutil.copyfile(pins.enter_context(pinned(log)), scratch / "copy.sqlite-wal")
    if cut_off:
        with copy.open("r+b") as file:
            file.truncate(full_size)  # SQLite refuses every page of a file that is too short
    return copy, "mode=rw"


def connect(path: Path, parameters: str, too_late: Callable[[], bool]) -> sqlite3.Connection:
    """Open a file that `prepare` returned, for SELECT on what is stored and nothing else.

    Args:
        path: the file.
        parameters: of the URI.
        too_late: asked every few thousand steps whether to interrupt the running statement.

    Raises:
        sqlite3.DatabaseError: SQLite cannot make sense of the file.
        OSError: it was exchanged for another one.
    """
    uri = f"file:{quote(str(path.absolute()))}?{parameters}"
    before = descriptors()
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        for limit, value in _LIMITS:
            db.setlimit(limit, value)
        db.text_factory = _text
        db.set_progress_handler(too_late, _STEPS_PER_CHECK)
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        db.set_authorizer(_authorize)
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        insist_on(path, before)  # SQLite opens the file at the first statement
    except UnicodeDecodeError as error:  # SQLite's message quotes damaged bytes
        db.close()
        raise sqlite3.DatabaseError("damaged names") from error
    except BaseException:
        db.close()
        raise
    return db


def check_header(name: str, head: bytes, size_bytes: int) -> None:
    """Tell from the first `HEAD_BYTES` of a file whether SQLite may look at it.

    Raises:
        Encrypted: the bytes look like AES-CBC output rather than damage.
        Corrupt: this is no SQLite database.
    """
    if head.startswith(MAGIC):
        return
    if size_bytes % 16 == 0 and len(head) == HEAD_BYTES and len(set(head)) > 240:
        raise Encrypted(f"{name} is encrypted: no SQLite database can be seen in it.")
    what = "is empty" if not head else "is not a SQLite database"
    raise Corrupt(f"{name} {what}.")


def _declared_size(head: bytes) -> int:
    """Bytes the file should have by its own header, 0 where the header does not say."""
    if len(head) < 100 or head[24:28] != head[92:96]:  # the page count is then not valid
        return 0
    page_size = int.from_bytes(head[16:18])
    return (65536 if page_size == 1 else page_size) * int.from_bytes(head[28:32])


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace").replace("\0", "")  # PostgreSQL refuses NUL


def _authorize(action: int, name: str | None, *_: str | None) -> int:
    if action in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and name == "table_info"):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
