"""Encrypting a backup folder as a phone does, with few iterations; see `app.backups.keybag`."""

import hashlib
import plistlib
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

_CLASSES = (1, 3, 4)
_ROUNDS = 100


class Lock:
    """A key bag and what it wraps."""

    def __init__(self, password: str) -> None:
        self.bytes = random.Random(5).randbytes
        salt, more_salt = self.bytes(20), self.bytes(20)
        first = hashlib.pbkdf2_hmac("sha256", password.encode(), more_salt, _ROUNDS, 32)
        key = hashlib.pbkdf2_hmac("sha1", first, salt, _ROUNDS, 32)
        self._keys = {number: self.bytes(32) for number in _CLASSES}
        bag: list[tuple[str, bytes | int]] = [
            ("VERS", 5),
            ("TYPE", 1),
            ("UUID", b"u" * 16),
            ("WRAP", 1),
            ("SALT", salt),
        ]
        bag += [("ITER", _ROUNDS), ("DPIC", _ROUNDS), ("DPSL", more_salt)]
        for number, one in self._keys.items():
            bag += [("UUID", bytes(16)), ("CLAS", number), ("WRAP", 2), ("KTYP", 0)]
            bag += [("WPKY", aes_key_wrap(key, one))]
        self.bag = b"".join(_piece(tag, value) for tag, value in bag)

    def seal(self, path: Path) -> bytes:
        """Encrypt a file in place; its wrapped key."""
        key, data = self.bytes(32), path.read_bytes()
        left = 16 - len(data) % 16
        cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
        path.write_bytes(cipher.update(data + bytes([left]) * left) + cipher.finalize())
        return (4).to_bytes(4, "little") + aes_key_wrap(self._keys[4], key)


def lock(folder: Path, password: str) -> None:
    """Encrypt every file of a backup."""
    sealer = Lock(password)
    manifest = folder / "Manifest.db"
    with closing(sqlite3.connect(manifest)) as db:
        for (file_id,) in db.execute("SELECT fileID FROM Files").fetchall():
            path = folder / file_id[:2] / file_id
            if path.exists():
                archive = _archive(sealer.seal(path))
                db.execute("UPDATE Files SET file = ? WHERE fileID = ?", (archive, file_id))
        db.commit()
    plist = plistlib.loads((folder / "Manifest.plist").read_bytes())
    plist |= {"IsEncrypted": True, "BackupKeyBag": sealer.bag, "ManifestKey": sealer.seal(manifest)}
    (folder / "Manifest.plist").write_bytes(plistlib.dumps(plist))


def locked_copy(folder: Path, target: Path, password: str) -> Path:
    copy = Path(shutil.copytree(folder, target))
    lock(copy, password)
    return copy


def _archive(wrapped: bytes) -> bytes:
    objects: list[Any] = ["$null", {"EncryptionKey": plistlib.UID(2)}, {"NS.data": wrapped}]
    archive = {"$top": {"root": plistlib.UID(1)}, "$objects": objects}
    return plistlib.dumps(archive, fmt=plistlib.FMT_BINARY)


def _piece(tag: str, value: bytes | int) -> bytes:
    raw = value.to_bytes(4, "big") if isinstance(value, int) else value
    return tag.encode() + len(raw).to_bytes(4, "big") + raw
