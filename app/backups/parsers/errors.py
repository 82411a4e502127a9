"""Why a backup, or one of its databases, cannot be read.

SourceError              any of the reasons below; `code` is for programs, the text for people
├── Encrypted            encrypted            the bytes are ciphertext: a password is needed
├── WrongPassword        wrong_password       the password that was given does not open it
├── NotInBackup          not_in_backup        the backup never held this file
├── ListedButMissing     listed_but_missing   the manifest names the file, the disk lacks it
├── UnsupportedSchema    unsupported_schema   a database, but not one of a generation we know
├── TooOld               too_old              a backup from before iOS 10 (Manifest.mbdb)
└── Corrupt              damaged              damaged, hostile, or no database at all

`interrupted_backup` is a warning only (see `app.backups.manifest`): such a backup is read.
"""

from typing import ClassVar


class SourceError(Exception):
    """The source cannot be read, and reading it again will not help."""

    code: ClassVar[str] = "damaged"


class Encrypted(SourceError):
    """The backup is encrypted; without its password nothing can be read."""

    code = "encrypted"


class WrongPassword(SourceError):
    """The backup is encrypted, with another password."""

    code = "wrong_password"


class NotInBackup(SourceError):
    """The file is not part of this backup."""

    code = "not_in_backup"


class ListedButMissing(SourceError):
    """The file belongs to the backup but is not on the disk (a partial copy)."""

    code = "listed_but_missing"


class UnsupportedSchema(SourceError):
    """The database lacks what every known generation of it has."""

    code = "unsupported_schema"


class TooOld(SourceError):
    """The backup was made for iOS 9 or earlier, in a layout we do not read."""

    code = "too_old"


class Corrupt(SourceError):
    """The file is damaged beyond reading, or built to do harm."""
