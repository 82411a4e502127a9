"""Which files a build has made, looked at after its last process has ended.

A pattern is matched below the working folder; a folder that it matches stands for all files in
it. A link that leads out of the working folder is an error, never a file.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import Invalid

MOST_FILES = 10_000
_PATH_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class Found:
    """A file to keep: its path relative to the working folder, and where its bytes are."""

    path: str
    file: Path
    size_bytes: int
    executable: bool


def find_artifacts(folder: Path, patterns: Sequence[str]) -> list[Found]:
    """The files that `patterns` match, by path.

    Raises:
        Invalid: a pattern matches nothing, or something that cannot be kept.
    """
    root = folder.resolve()
    found: dict[str, Found] = {}
    for pattern in patterns:
        matched = False
        for path in root.glob(pattern):
            matched = True
            for file in _files_of(root, path):
                found[file.path] = file
                if len(found) > MOST_FILES:
                    raise Invalid(
                        f"The build has more than {MOST_FILES:,} artifacts.", code="too_many_files"
                    )
        if not matched:
            raise Invalid(f"The recipe made nothing that fits {pattern!r}.", code="no_artifacts")
    if not found:
        raise Invalid("The recipe made folders without a file.", code="no_artifacts")
    return [found[path] for path in sorted(found)]


def open_artifact(found: Found) -> int:
    """A descriptor to read the file by. Raises `Invalid` when it has become a link since."""
    try:
        return os.open(found.file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise Invalid(f"{found.path!r} cannot be read.", code="artifact_unreadable") from error


def _files_of(root: Path, path: Path) -> Iterator[Found]:
    if path.is_symlink() or not path.is_dir():
        yield _checked(root, path)
        return
    for folder, folders, files in os.walk(path, onerror=_refuse):
        for name in folders:
            if Path(folder, name).is_symlink():
                yield _checked(root, Path(folder, name))
        for name in files:
            yield _checked(root, Path(folder, name))


def _refuse(error: OSError) -> None:
    # Else the build would succeed without what lies in there.
    raise Invalid(
        f"{Path(error.filename).name!a} cannot be read.", code="artifact_unreadable"
    ) from error


def _checked(root: Path, path: Path) -> Found:
    relative = path.relative_to(root).as_posix()
    shown = ascii(relative)
    try:
        real = path.resolve(strict=True)
        facts = real.stat()
    except (OSError, RuntimeError) as error:
        raise Invalid(f"{shown} is a link that leads nowhere.", code="artifact_outside") from error
    if not real.is_relative_to(root):
        raise Invalid(f"{shown} lies outside the working folder.", code="artifact_outside")
    if not stat.S_ISREG(facts.st_mode):
        raise Invalid(f"{shown} is not a file.", code="artifact_special")
    try:
        relative.encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"{shown} is not named in UTF-8.", code="artifact_name") from error
    if len(relative) > _PATH_CHARACTERS:
        raise Invalid(f"{shown[:100]}… has too long a path.", code="artifact_name")
    return Found(relative, real, facts.st_size, bool(facts.st_mode & stat.S_IXUSR))
