"""What the limited child process does with a backup: all that touches a stranger's bytes.

One request first opens the backup, the next ones read its databases (`reading`).
"""

import gc
import hashlib
import plistlib
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from app.backups.manifest import ALIASES, Artifact, BackupFolder, mapped_artifact
from app.backups.parsers.errors import SourceError
from app.backups.reading import read_messages

READS = {"messages": read_messages}  # what this version reads, by logical name
EDITION = "1"  # raised when a newer parser should read again what has not changed

_encode = msgspec.msgpack.Encoder().encode
_UDID = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{8}-[0-9a-fA-F]{16}")
_MAX_INFO_BYTES = 64 * 2**20
_HEADER_BYTES = 100  # of a database: with its change counter


def answer(request: dict[str, Any]) -> Iterator[Any]:
    """Do what `request["do"]` names: "open", or a logical name of `READS`.

    Frames of `READS` are given as bytes, MessagePack once more: the pool then passes them on
    without looking inside, and whoever knows their types decodes them.
    """
    if request["do"] == "open":
        yield _open(request)
        return
    gc.disable()  # a third of the time would go into looking for garbage in what is alive
    for frame in READS[request["do"]](request):
        yield _encode(frame)
        gc.collect(0)  # what one frame has left behind, so that nothing piles up


def _open(request: dict[str, Any]) -> dict[str, Any]:
    """Look at a backup.

    Args:
        request: "path", a folder; or "artifacts", {logical name: path}.

    Returns:
        "device", "ios_version", "udid", "backed_up_at", "encrypted", "folder"; "warnings" as
        {"code", "artifact", "detail"}; and "found": for each name of `READS` a map with
        "database", "wal" and "fingerprint", or with "code" and "detail" of why it is not there.

    Raises:
        SourceError: this is no backup, or not one that can be read.
    """
    if request.get("artifacts") is not None:
        return _open_mapping(request["artifacts"])
    folder = BackupFolder(Path(request["path"]))
    found = {} if folder.encrypted else {name: _found(folder, name) for name in READS}
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


def _open_mapping(artifacts: dict[str, str]) -> dict[str, Any]:
    unread = sorted({ALIASES.get(name, name) for name in artifacts} - set(READS))
    return {
        "device": None,
        "ios_version": None,
        "udid": None,
        "backed_up_at": None,
        "encrypted": False,
        "folder": None,
        "warnings": [
            {
                "code": "not_supported_yet",
                "artifact": name,
                "detail": f"This version does not read {name} yet; it was left alone.",
            }
            for name in unread
        ],
        "found": {name: _found(artifacts, name) for name in READS},
    }


def _found(source: BackupFolder | dict[str, str], name: str) -> dict[str, Any]:
    try:
        if isinstance(source, BackupFolder):
            artifact = source.artifact(name)
            beside = [source.path / "Manifest.db"]
        else:
            artifact, beside = mapped_artifact(source, name), []
        return {
            "database": str(artifact.path),
            "wal": None if artifact.wal is None else str(artifact.wal),
            "fingerprint": _fingerprint(artifact, beside),
        }
    except SourceError as error:
        return {"code": error.code, "detail": str(error)}


def _fingerprint(artifact: Artifact, beside: list[Path]) -> str:
    """What changes whenever the database, its log or the list of the backup's files changes.

    Size and times of each file, that of its inode included, which nobody can set; and the
    first bytes, where SQLite counts its writes.
    """
    log = artifact.wal or artifact.path.with_name(artifact.path.name + "-wal")
    digest = hashlib.sha256(EDITION.encode())
    for path in (artifact.path, log, *beside):
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):  # a pipe would keep us waiting
                continue
            with path.open("rb") as file:
                head = file.read(_HEADER_BYTES)
        except OSError:
            continue
        facts = (path.name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(repr(facts).encode() + head)
    return digest.hexdigest()


def _udid(folder: Path) -> str | None:
    """What names the device: the folder's name, else what Info.plist says."""
    if _UDID.fullmatch(folder.name):
        return folder.name
    path = folder / "Info.plist"
    try:
        if path.is_symlink() or path.stat().st_size > _MAX_INFO_BYTES:
            return None
        info = plistlib.loads(path.read_bytes())
    except Exception:  # noqa: BLE001 -- a stranger's file; plistlib raises a dozen kinds
        return None
    named = info.get("Unique Identifier") if isinstance(info, dict) else None
    return named if isinstance(named, str) and _UDID.fullmatch(named) else None
