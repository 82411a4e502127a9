"""The keys of an encrypted backup.

    password ─PBKDF2-SHA256─▶ ─PBKDF2-SHA1─▶ ─RFC 3394─▶ class keys ─RFC 3394─▶ a file's key

`BackupKeyBag` of Manifest.plist is a row of (4-byte tag, 4-byte big-endian length, value): first
about the bag as a whole, then one group per protection class, each beginning with a UUID. A wrapped
key of a file (or of Manifest.db) is the number of its class, 4 bytes little-endian, and 40 bytes.
Files are AES-256-CBC without an initialisation vector, padded as PKCS#7.

Source: docs/formats.md, Encrypted backups.
"""

import hashlib
import plistlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from app.backups.parsers.errors import Corrupt, WrongPassword

_MOST_ITERATIONS = 50_000_000  # Apple's are 10,000,000; a hostile bag would ask for a year
_KEY_BYTES, _BLOCK_BYTES = 32, 16
_BY_PASSWORD = 2  # bit of WRAP: the class key is wrapped with a key that the password gives
_CHUNK = 2**20


class Keys:
    """The unlocked keys of one backup."""

    def __init__(self, keybag: bytes, password: str) -> None:
        """Unlock a key bag. Takes seconds: that is what makes guessing slow.

        Raises:
            WrongPassword: it is not this one.
            Corrupt: this is no key bag.
        """
        bag, classes = _read(keybag)
        key = _derive(bag, password)
        self._keys = {}
        for number, group in classes.items():
            if _number(group, b"WRAP") & _BY_PASSWORD:
                try:
                    self._keys[number] = aes_key_unwrap(key, group[b"WPKY"])
                except (InvalidUnwrap, ValueError) as error:
                    raise WrongPassword("The password does not open this backup.") from error
                except KeyError as error:
                    raise Corrupt("The key bag of the backup is damaged.") from error
        if not self._keys:
            raise Corrupt("The key bag of the backup holds no keys.")

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key of one file.

        Raises:
            Corrupt: no class key fits.
        """
        key = self._keys.get(int.from_bytes(wrapped[:4], "little"))
        try:
            if key is not None:
                return aes_key_unwrap(key, wrapped[4:])
        except (InvalidUnwrap, ValueError):
            pass
        raise Corrupt("A file of the backup has a key that the key bag does not open.")


def decrypt(source: Path, target: Path, key: bytes) -> None:
    """Write the clear text of `source` to `target`, which only this user can read.

    Raises:
        OSError: no room, or the file cannot be read.
    """
    decryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(_BLOCK_BYTES))).decryptor()
    target.touch(mode=0o600)
    with source.open("rb") as read, target.open("wb") as written:
        before = b""
        while chunk := read.read(_CHUNK):
            written.write(before)
            before = decryptor.update(chunk[: len(chunk) - len(chunk) % _BLOCK_BYTES])
        written.write(_without_padding(before))


def file_key(archive: object) -> bytes | None:
    """The wrapped key in the `file` column of Manifest.db, None where there is none."""
    try:
        objects = plistlib.loads(archive)["$objects"]  # type: ignore[arg-type]
        root = next(one for one in objects if isinstance(one, dict) and "EncryptionKey" in one)
        found = objects[root["EncryptionKey"].data]["NS.data"]
    except Exception:  # noqa: BLE001 -- a stranger's file; plistlib raises a dozen kinds
        return None
    return found if isinstance(found, bytes) else None


def _without_padding(block: bytes) -> bytes:
    length = block[-1] if block else 0
    padded = 1 <= length <= _BLOCK_BYTES and block.endswith(bytes([length]) * length)
    return block[:-length] if padded else block


def _derive(bag: Mapping[bytes, bytes], password: str) -> bytes:
    rounds, more = _number(bag, b"ITER"), _number(bag, b"DPIC", 0)
    if not 1 <= rounds <= _MOST_ITERATIONS or more > _MOST_ITERATIONS:
        raise Corrupt("The key bag of the backup asks for too much work.")
    secret = password.encode()
    if more:  # since iOS 10.2
        secret = hashlib.pbkdf2_hmac("sha256", secret, bag.get(b"DPSL", b""), more, _KEY_BYTES)
    return hashlib.pbkdf2_hmac("sha1", secret, bag.get(b"SALT", b""), rounds, _KEY_BYTES)


def _read(keybag: bytes) -> tuple[dict[bytes, bytes], dict[int, dict[bytes, bytes]]]:
    bag: dict[bytes, bytes] = {}
    groups: list[dict[bytes, bytes]] = []
    for tag, value in _pieces(keybag):
        if tag == b"UUID" and tag in bag:
            groups.append({})
        (groups[-1] if groups else bag)[tag] = value
    return bag, {_number(group, b"CLAS"): group for group in groups}


def _pieces(keybag: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(keybag):
        length = int.from_bytes(keybag[place + 4 : place + 8])
        yield keybag[place : place + 4], keybag[place + 8 : place + 8 + length]
        place += 8 + length


def _number(group: Mapping[bytes, Any], tag: bytes, otherwise: int | None = None) -> int:
    if tag not in group and otherwise is None:
        raise Corrupt(f"The key bag of the backup lacks {tag.decode()}.")
    return int.from_bytes(group[tag]) if tag in group else int(otherwise or 0)
