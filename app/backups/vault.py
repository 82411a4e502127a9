"""An encrypted backup, opened: clear copies of single files in a private folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.backups.keybag import Keys, decrypt, file_key
from app.backups.parsers.errors import Corrupt
from app.backups.parsers.pinning import pinned

if TYPE_CHECKING:
    from app.backups.manifest import Artifact


class Vault:
    """The keys of a backup, and the room for what they open."""

    def __init__(self, manifest: Mapping[str, Any], password: str, room: Path) -> None:
        """Unlock the keys of Manifest.plist.

        Raises:
            WrongPassword: it is another one.
            Corrupt: there are no keys, or they are damaged.
        """
        bag, key = manifest.get("BackupKeyBag"), manifest.get("ManifestKey")
        if not isinstance(bag, bytes) or not isinstance(key, bytes):
            raise Corrupt("The backup is encrypted, and its Manifest.plist holds no keys.")
        self._keys = Keys(bag, password)
        self._manifest_key = self._keys.unwrap(key)
        self._room = room
        self._wrapped: dict[Path, bytes] = {}

    def manifest(self, path: Path) -> Path:
        """A clear copy of Manifest.db."""
        return self._copy(path, "Manifest.db", self._manifest_key)

    def learn(self, path: Path, archive: object) -> None:
        """Remember the key of a file, out of its row in Manifest.db."""
        wrapped = file_key(archive)
        if wrapped is not None:
            self._wrapped[path] = wrapped

    def clear(self, artifact: "Artifact") -> "Artifact":
        """A clear copy of a database and its log.

        Raises:
            Corrupt: a key is missing or damaged.
        """
        path = self._open(artifact.path, artifact.name)
        wal = None if artifact.wal is None else self._open(artifact.wal, f"{artifact.name}-wal")
        return artifact._replace(path=path, wal=wal)

    def _open(self, path: Path, name: str) -> Path:
        wrapped = self._wrapped.get(path)
        if wrapped is None:
            raise Corrupt(f"The backup has no key for {name}.")
        return self._copy(path, name, self._keys.unwrap(wrapped))

    def _copy(self, path: Path, name: str, key: bytes) -> Path:
        copy = self._room / name
        with pinned(path) as same:
            decrypt(same, copy, key)
        return copy
