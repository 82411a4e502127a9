"""What is in a backup and where, as the child process finds out before anything is read.

Everything returned is plain, so that MessagePack takes it as it is.
"""

import errno
import hashlib
import plistlib
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from app.backups.artifacts import ARTIFACTS, EDITION, INSTEAD
from app.backups.manifest import (
    ALIASES,
    Artifact,
    BackupFolder,
    BackupWarning,
    mapped_artifact,
)
from app.backups.parsers.errors import NotInBackup, SourceError
from app.backups.parsers.pinning import pinned

_UDID = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{8}-[0-9a-fA-F]{16}")
_MAX_INFO_BYTES = 64 * 2**20
_HEADER_BYTES = 100  # of a database: with its change counter


def look(request: Mapping[str, Any]) -> dict[str, Any]:
    """Look at a backup, and decrypt what is to be read of an encrypted one.

    Args:
        request: "path", a folder, or "artifacts", {logical name: path}; "room", an empty private
            folder for whatever has to be copied; of an encrypted folder "password".

    Returns:
        "device", "ios_version", "udid", "backed_up_at", "encrypted", "folder"; "warnings" as
        {"code", "artifact", "detail"}; and "found": for each name of `ARTIFACTS` a map with
        "fingerprint", "seen" (what it was made of, see `fingerprint`) and "request", what a reader
        is asked with; or with "code" and "detail" of why it is not there. Nothing is found in an
        encrypted folder without a password.

    Raises:
        SourceError: this is no backup, or not one that can be read.
    """
    if request.get("artifacts") is not None:
        return _look_at_files(request["artifacts"], request["room"])
    folder = BackupFolder(Path(request["path"]))
    if folder.encrypted and request.get("password") is not None:
        folder.unlock(request["password"], Path(request["room"]))
    locked = folder.encrypted and request.get("password") is None
    source = _Folder(folder, request["room"])
    found = {} if locked else {name: _found(source, name) for name in ARTIFACTS}
    return {
        "device": folder.device_name,
        "ios_version": folder.ios_version,
        "udid": _udid(folder.path),
        "backed_up_at": folder.backed_up_at,
        "encrypted": folder.encrypted,
        "folder": str(folder.path),
        "warnings": [one._asdict() for one in folder.warnings],
        "found": found,
    }


def fingerprint(paths: Iterable[str]) -> str:
    """What changes whenever one of these files changes, comes or goes.

    Size and times of each file, that of its inode included, which nobody can set; and the
    first bytes, where SQLite counts its writes.
    """
    digest = hashlib.sha256(EDITION.encode())
    for path in map(Path, paths):
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):  # a pipe would keep us waiting
                continue
            with pinned(path) as same, same.open("rb") as file:
                head = file.read(_HEADER_BYTES)
        except OSError:
            continue
        facts = (path.name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(repr(facts).encode() + head)
    return digest.hexdigest()


def _look_at_files(artifacts: dict[str, str], room: str) -> dict[str, Any]:
    given = {ALIASES.get(name, name) for name in artifacts}
    return {
        "device": None,
        "ios_version": None,
        "udid": None,
        "backed_up_at": None,
        "encrypted": False,
        "folder": None,
        "warnings": [],
        "found": {
            name: _found(_Files(artifacts, room), name) for name in ARTIFACTS if name in given
        },
    }


class _Folder:
    """Databases of a backup's folder."""

    def __init__(self, folder: BackupFolder, room: str) -> None:
        self.room = room
        self.path: str | None = str(folder.path)
        self.manifest = [str(folder.path / "Manifest.db")]
        self._folder = folder

    def artifact(self, name: str) -> Artifact:
        return self._folder.artifact(name)

    def clear(self, artifact: Artifact) -> Artifact:
        return self._folder.clear(artifact)

    def warn(self, warning: BackupWarning) -> None:
        self._folder.warnings.append(warning)


class _Files:
    """Databases given one by one."""

    path: str | None = None
    manifest: tuple[str, ...] = ()

    def __init__(self, files: Mapping[str, str], room: str) -> None:
        self.room = room
        self._files = files

    def artifact(self, name: str) -> Artifact:
        return mapped_artifact(self._files, name)

    def clear(self, artifact: Artifact) -> Artifact:
        return artifact

    def warn(self, warning: BackupWarning) -> None:
        """Nobody gave anything else, so nothing else can be missing."""


def _found(source: _Folder | _Files, name: str) -> dict[str, Any]:
    try:
        artifact, business = _main(source, name)
        beside = list(_beside(source, name))
        seen = [str(path) for one in (artifact, *beside) for path in _paths(one)]
        request = {
            **_readable(source, artifact),
            "folder": source.path,
            "business": business,
            "room": source.room,
            "extra": {one.name: _readable(source, one) for one in beside},
        }
    except SourceError as error:
        return {"code": error.code, "detail": str(error)}
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise  # of this machine, not of the backup
        return {"code": "damaged", "detail": f"A file of it cannot be read: {error.strerror}."}
    if artifact.name != name and not business:  # only what is read beside it is there
        request |= {
            "database": None,
            "wal": None,
            "extra": {artifact.name: request["extra"][artifact.name]},
        }
    seen += source.manifest
    return {"fingerprint": fingerprint(seen), "seen": seen, "request": request}


def _main(source: _Folder | _Files, name: str) -> tuple[Artifact, bool]:
    """The database itself or what is read instead, and whether that is WhatsApp Business."""
    try:
        return source.artifact(name), False
    except NotInBackup:
        other = INSTEAD.get(name)
        if other is None:
            raise
        try:
            return source.artifact(other), other == "whatsapp_business"
        except SourceError:
            pass
        raise


def _beside(source: _Folder | _Files, name: str) -> Iterable[Artifact]:
    for one in ARTIFACTS[name]:
        try:
            yield source.artifact(one)
        except NotInBackup:
            continue
        except SourceError as error:
            source.warn(BackupWarning(error.code, one, str(error)))


def _paths(artifact: Artifact) -> tuple[Path, Path]:
    log = artifact.wal or artifact.path.with_name(artifact.path.name + "-wal")
    return artifact.path, log


def _readable(source: _Folder | _Files, artifact: Artifact) -> dict[str, Any]:
    clear = source.clear(artifact)
    return {"database": str(clear.path), "wal": None if clear.wal is None else str(clear.wal)}


def _udid(folder: Path) -> str | None:
    """What names the device: the folder's name, else what Info.plist says."""
    if _UDID.fullmatch(folder.name):
        return folder.name
    path = folder / "Info.plist"
    try:
        if path.stat().st_size > _MAX_INFO_BYTES:
            return None
        with pinned(path) as same:
            info = plistlib.loads(same.read_bytes())
    except Exception:  # noqa: BLE001 -- a stranger's file; plistlib raises a dozen kinds
        return None
    named = info.get("Unique Identifier") if isinstance(info, dict) else None
    return named if isinstance(named, str) and _UDID.fullmatch(named) else None
