"""Which paths people may name as backups: BACKUP_ROOTS.

A user may name what lies below `<root>/<user name>/`, an admin what lies below any root. What
counts is where a path really leads, after every symbolic link. All refusals are one sentence, so
that nobody learns from them what is there.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from app.core.errors import Invalid

_LONGEST = 4096


def real_backup(
    path: str | None,
    artifacts: Mapping[str, str] | None,
    roots: Iterable[Path],
    user: str | None,
) -> dict[str, Any]:
    """Where a backup really lies now, which may be elsewhere than when it was named.

    Args:
        path: of its folder, or None.
        artifacts: else its databases, {logical name: path}.
        roots: BACKUP_ROOTS.
        user: whose folders they must be below; None: an admin's, any root.

    Returns:
        {"path": …} or {"artifacts": …}, with every link followed.

    Raises:
        Invalid: some path leads to where this user may not read, or nowhere.
    """
    folders = allowed_folders(roots, user)
    if path is not None:
        return {"path": str(_insist(checked(path, folders), Path.is_dir))}
    files = (artifacts or {}).items()
    real = {name: _insist(checked(one, folders), Path.is_file) for name, one in files}
    return {"artifacts": {name: str(one) for name, one in real.items()}}


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


def _insist(path: Path, kind: Callable[[Path], bool]) -> Path:
    if not kind(path):
        raise refusal()
    return path


def refusal() -> Invalid:
    """The one error for every path that may not be named."""
    return Invalid("There is no backup of yours at this path.", code="path_refused")
