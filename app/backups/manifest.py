"""The folder that Finder or iTunes writes: what is in it, and where each database lies.

Every file of a backup is stored as `<first 2 hex>/<fileID>` with
fileID = sha1(domain + "-" + relativePath). Manifest.db lists them; the property lists beside it
describe the device. All of it may be missing, damaged or made up by a stranger.

Source: docs/formats.md, The backup folder (checked there on the 3,721 rows of a real Manifest.db).
"""

import hashlib
import plistlib
import re
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import DatabaseError
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.parsers.expat import ExpatError

from app.backups.parsers.errors import (
    Corrupt,
    Encrypted,
    ListedButMissing,
    NotInBackup,
    SourceError,
    TooOld,
    WrongPassword,
)
from app.backups.parsers.opening import HEAD_BYTES, check_header
from app.backups.parsers.pinning import pinned
from app.backups.parsers.source import Source

if TYPE_CHECKING:
    from app.backups.vault import Vault

_HOME = "HomeDomain"
_WHATSAPP = "AppDomainGroup-group.net.whatsapp.WhatsApp.shared"
LOGICAL_FILES: Mapping[str, tuple[str, str]] = {
    "messages": (_HOME, "Library/SMS/sms.db"),
    "contacts": (_HOME, "Library/AddressBook/AddressBook.sqlitedb"),
    "contact_images": (_HOME, "Library/AddressBook/AddressBookImages.sqlitedb"),
    "calendar": (_HOME, "Library/Calendar/Calendar.sqlitedb"),
    "photos": ("CameraRollDomain", "Media/PhotoData/Photos.sqlite"),
    "notes": ("AppDomainGroup-group.com.apple.notes", "NoteStore.sqlite"),
    "notes_legacy": (_HOME, "Library/Notes/notes.sqlite"),
    "whatsapp": (_WHATSAPP, "ChatStorage.sqlite"),
    "whatsapp_contacts": (_WHATSAPP, "ContactsV2.sqlite"),
    "whatsapp_lid": (_WHATSAPP, "LID.sqlite"),
    "whatsapp_business": (
        "AppDomainGroup-group.net.whatsapp.WhatsAppSMB.shared",
        "ChatStorage.sqlite",
    ),
}
MEDIA_PREFIXES: Mapping[str, tuple[str, str]] = {
    "messages": ("MediaDomain", "Library/SMS/Attachments/"),
    "photos": ("CameraRollDomain", "Media/"),
    "whatsapp": (_WHATSAPP, "Message/"),
}
ALIASES: Mapping[str, str] = {"chat.db": "messages", "sms.db": "messages"}

_FILE_ID = re.compile(r"[0-9a-f]{40}")
_PAYLOAD = 1  # Files.flags of a plain file; folders and links have no payload
_LONGEST = 200  # characters of a name that somebody has given
_MAX_PLIST_BYTES = 64 * 2**20  # Info.plist carries the icons of all apps: some MB


class Artifact(NamedTuple):
    """A database to read."""

    name: str  # logical
    path: Path
    wal: Path | None  # its write-ahead log, where that is a file of its own


class BackupWarning(NamedTuple):
    """Something people should know though the backup is read."""

    code: str
    artifact: str | None  # logical name, None for the backup as a whole
    detail: str


class BackupFolder:
    """One backup, opened for looking files up; nothing in it is ever changed.

    Attributes:
        path: the folder. A link on the way to it is not followed.
        device_name, ios_version, product_type: as the device said; None where unknown.
        backed_up_at: aware UTC, or None.
        encrypted: whether a password is needed to read anything else.
        interrupted: whether the device had not finished; None where the folder does not say.
        warnings: `interrupted_backup`, and `damaged` for a Manifest.db that had to be done without.
    """

    def __init__(self, path: Path) -> None:
        """Open a folder.

        Raises:
            NotInBackup: there is no such folder, or no backup in it.
            TooOld: it was made for iOS 9 or earlier.
        """
        self.path = path.absolute()
        if not self.path.is_dir():
            raise NotInBackup(f"{path} is not a folder.")
        self._manifest = self._inside("Manifest.db")
        if self._manifest is None and (self.path / "Manifest.mbdb").exists():
            raise TooOld("The backup was made for iOS 9 or earlier (Manifest.mbdb).")
        info, status = self._plist("Info.plist"), self._plist("Status.plist")
        manifest = self._plist("Manifest.plist")
        lockdown = _mapping(manifest.get("Lockdown"))
        self.device_name = _text(info.get("Device Name"), lockdown.get("DeviceName"))
        self.ios_version = _text(info.get("Product Version"), lockdown.get("ProductVersion"))
        self.product_type = _text(info.get("Product Type"), lockdown.get("ProductType"))
        self.backed_up_at = _time(info.get("Last Backup Date"), manifest.get("Date"))
        self._manifest_plist = manifest
        self._vault: Vault | None = None
        state = status.get("SnapshotState")
        self.interrupted = None if state is None else state != "finished"
        self.encrypted = manifest.get("IsEncrypted") is True or self._manifest_is_ciphertext()
        self.warnings: list[BackupWarning] = []
        if self.interrupted:
            detail = f"The backup was not finished (state {_text(state) or 'unknown'}): the newest items may be missing."
            self.warnings.append(BackupWarning("interrupted_backup", None, detail))

    def unlock(self, password: str, room: Path) -> None:
        """Open an encrypted backup: from here on files can be found, and read by `clear`.

        Args:
            password: the owner's.
            room: an empty folder that nobody else can read, for what is decrypted.

        Raises:
            WrongPassword: it is another one.
            Corrupt: the keys are damaged.
        """
        from app.backups.vault import Vault  # noqa: PLC0415 -- most backups need no cryptography

        self._vault = Vault(self._manifest_plist, password, room)
        if self._manifest is not None:
            self._manifest = self._vault.manifest(self._manifest)
            if self._manifest_is_ciphertext():
                raise WrongPassword("The password does not open this backup's list of files.")

    def clear(self, artifact: Artifact) -> Artifact:
        """The same database where it can be read: of an encrypted backup, a decrypted copy.

        Raises:
            Corrupt: its key is missing or damaged.
            OSError: this machine has no room for the copy.
        """
        return artifact if self._vault is None else self._vault.clear(artifact)

    def artifact(self, name: str) -> Artifact:
        """Where the database with this logical name (or alias) lies.

        Raises:
            Encrypted: the backup is encrypted.
            NotInBackup: the backup does not hold it.
            ListedButMissing: it is listed, but not on the disk.
            Corrupt: the manifest names a file outside the folder.
        """
        name = ALIASES.get(name, name)
        if name not in LOGICAL_FILES:
            raise NotInBackup(f"{name} is not a known part of a backup.")
        if self.encrypted and self._vault is None:
            raise Encrypted("The backup is encrypted: its password is needed.")
        domain, relative_path = LOGICAL_FILES[name]
        path = self.find(domain, relative_path)
        try:
            wal: Path | None = self.find(domain, relative_path + "-wal")
        except NotInBackup:
            wal = None
        except ListedButMissing as error:
            wal = None
            self.warnings.append(
                BackupWarning(error.code, name, f"Without its newest rows: {error}")
            )
        return Artifact(name, path, wal)

    def find(self, domain: str, relative_path: str) -> Path:
        """The file stored for (domain, relativePath), by Manifest.db or, without one, computed.

        Raises:
            NotInBackup: the backup does not hold it.
            ListedButMissing: it is listed, but not on the disk.
            Corrupt: the manifest names a file outside the folder.
        """
        file_id = computed_id = compute_file_id(domain, relative_path)
        listed, archive = False, None
        if self._manifest is not None:
            try:
                file_id, archive = self._look_up(self._manifest, domain, relative_path)
                listed = True
            except Corrupt as error:
                self._manifest = None
                detail = f"Manifest.db cannot be read, so files are found by name only: {error}"
                self.warnings.append(BackupWarning("damaged", None, detail))
        if not _FILE_ID.fullmatch(file_id):
            raise Corrupt(f"The manifest gives {relative_path} an impossible file id.")
        found = self._inside(f"{file_id[:2]}/{file_id}")
        if found is None and listed:
            raise ListedButMissing(
                f"{relative_path} is listed in the backup but is not on the disk."
            )
        if found is None:
            raise NotInBackup(f"{relative_path} is not in the backup ({computed_id}).")
        if self._vault is not None:
            self._vault.learn(found, archive)
        return found

    def _look_up(self, manifest: Path, domain: str, relative_path: str) -> tuple[str, object]:
        """The file id, and the archive with what else is known of the file."""
        archive = "NULL" if self._vault is None else "file"
        sql = f"SELECT fileID, flags, {archive} FROM Files WHERE relativePath = ? AND domain = ?"  # noqa: S608 -- our own names
        with Source(manifest) as source:
            source.require("Files", ("fileID", "domain", "relativePath", "flags"))
            try:
                rows = [row for rows in source.query(sql, (relative_path, domain)) for row in rows]
            except DatabaseError as error:
                raise Corrupt(f"{error}.") from error
        for file_id, flags, known in rows:
            if flags == _PAYLOAD or flags is None:
                return str(file_id), known
        raise NotInBackup(f"{relative_path} is not in the backup.")

    def _inside(self, name: str) -> Path | None:
        """A plain file of the folder, or None; links that lead out of the folder do not count."""
        try:
            path = (self.path / name).resolve(strict=True)
            plain = stat.S_ISREG(path.stat().st_mode)
        except (OSError, RuntimeError):  # RuntimeError: links in a circle
            return None
        return path if plain and path.is_relative_to(self.path) else None

    def _manifest_is_ciphertext(self) -> bool:
        if self._manifest is None:
            return False
        with pinned(self._manifest) as path, path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        try:
            check_header("Manifest.db", head, self._manifest.stat().st_size)
        except SourceError as error:
            return isinstance(error, Encrypted)
        return False

    def _plist(self, name: str) -> dict[str, Any]:
        path = self._inside(name)
        if path is None or path.stat().st_size > _MAX_PLIST_BYTES:
            return {}
        try:
            with pinned(path) as same:
                return _mapping(plistlib.loads(same.read_bytes()))
        except (
            OSError,
            ValueError,
            TypeError,
            LookupError,
            OverflowError,
            RecursionError,
            ExpatError,
        ):
            return {}


def mapped_artifact(files: Mapping[str, str | Path], name: str) -> Artifact:
    """Where a database lies by a plain mapping {logical name or alias: path}.

    Raises:
        NotInBackup: the mapping does not name it.
        ListedButMissing: there is no file at its path.
    """
    name = ALIASES.get(name, name)
    for key, path in files.items():
        if ALIASES.get(key, key) == name:
            if not Path(path).is_file():
                raise ListedButMissing(f"There is no file {Path(path).name} for {name}.")
            return Artifact(name, Path(path), None)
    raise NotInBackup(f"No file was given for {name}.")


def compute_file_id(domain: str, relative_path: str) -> str:
    """The hashed name of a file of a backup."""
    return hashlib.sha1(f"{domain}-{relative_path}".encode(), usedforsecurity=False).hexdigest()


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(*candidates: object) -> str | None:
    found = next((one for one in candidates if isinstance(one, str) and one), None)
    return None if found is None else found.replace("\0", "")[:_LONGEST]


def _time(*candidates: object) -> datetime | None:
    for one in candidates:
        if isinstance(one, datetime):  # plists have no zone: Apple writes UTC
            return one.replace(tzinfo=UTC)
    return None
