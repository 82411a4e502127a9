"""Where a backup keeps the files that its databases name, and whether they are there.

Source: docs/formats.md, The backup folder.
"""

import hashlib
import os
import stat
from pathlib import Path


class Files:
    """The files of one domain of a backup."""

    def __init__(self, domain: str, folder: Path | None) -> None:
        """`folder` is the backup in which to look whether files are there, or None."""
        self._domain = domain
        self._presence = None if folder is None else Presence(folder)

    def find(self, path: str | None) -> tuple[str | None, bool | None]:
        """The hashed name of a file, and whether it is there; None where nobody could look.

        Args:
            path: within the domain; None for a file that never was on the phone.
        """
        if path is None:
            return None, None if self._presence is None else False
        name = file_id(self._domain, path)
        return name, None if self._presence is None else name in self._presence


class Presence:
    """Which hashed files a backup folder holds; nothing is opened and no link is followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._rooms: dict[str, bool] = {}

    def __contains__(self, file_id: str) -> bool:
        room = file_id[:2]
        if room not in self._rooms:
            self._rooms[room] = self._is(stat.S_IFDIR, room)
        return self._rooms[room] and self._is(stat.S_IFREG, f"{room}/{file_id}")

    def _is(self, kind: int, name: str) -> bool:
        try:
            # A `Path` for each of many thousand files takes twice as long as the look itself.
            return stat.S_IFMT(os.lstat(f"{self._folder}/{name}").st_mode) == kind
        except OSError:
            return False


def file_id(domain: str, path: str) -> str:
    """The name under which a backup stores a file of a domain."""
    return hashlib.sha1(f"{domain}-{path}".encode(), usedforsecurity=False).hexdigest()
