"""Which paths people may name as backups: BACKUP_ROOTS.

A user may name what lies below `<root>/<user name>/`, an admin what lies below any root. What
counts is where a path really leads, after every symbolic link. All refusals are one sentence, so
that nobody learns from them what is there.
"""

from collections.abc import Iterable
from pathlib import Path

from app.core.errors import Invalid

_LONGEST = 4096


def allowed_folders(roots: Iterable[Path], user: str | None) -> list[Path]:
    """The folders below which `user` may name paths; None: an admin.

    A user's folder must really lie in the root: one that is a symbolic link opens nothing.
    """
    real = [root.resolve() for root in roots]
    if user is None:
        return real
    if not user or user in (".", "..") or any(sign in user for sign in "/\\\0"):
        return []
    return [root / user for root in real]


def checked(path: str, folders: Iterable[Path]) -> Path:
    """Where `path` really leads: something that exists, below one of `folders`.

    Raises:
        Invalid: missing, foreign, outside, relative or no path at all; always the same error.
    """
    try:
        if len(path) > _LONGEST or not Path(path).is_absolute():
            raise refusal()
        real = Path(path).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # NUL in it; links in a circle
        raise refusal() from None
    if not any(folder in real.parents for folder in folders):
        raise refusal()
    return real


def refusal() -> Invalid:
    """The one error for every path that may not be named."""
    return Invalid("There is no backup of yours at this path.", code="path_refused")
