"""What the notes parser yields. Named tuples: fast, and arrays once they are MessagePack.

Field meanings: docs/formats.md, Notes. None stands for whatever the source does not say.
"""

from datetime import datetime
from typing import NamedTuple

FIRST_LEGACY = 2**40  # ids of legacy notes begin above all others, so that both are read as one


class Account(NamedTuple):
    """An account that keeps notes."""

    id: int
    identifier: str | None
    name: str | None


class Folder(NamedTuple):
    """A folder of an account."""

    id: int
    identifier: str | None
    title: str | None
    path: str | None  # with the folders around it: "Travel/2024"
    account: str | None
    kind: str  # normal, trash, smart


class Attachment(NamedTuple):
    """Something in a note that is not text."""

    identifier: str | None
    filename: str | None
    uti: str | None
    size_bytes: int | None
    file_id: str | None  # where a backup keeps it; None for what has no file
    file_present: bool | None  # None where nobody could look
    title: str | None
    text: str | None  # what is to be found in it: recognised text, handwriting, an address


class Note(NamedTuple):
    """One note, or what is left of it."""

    id: int  # ZICCLOUDSYNCINGOBJECT.Z_PK; of a legacy note `FIRST_LEGACY` + Z_PK
    identifier: str
    title: str | None
    text: str | None  # U+FFFC where an attachment stands; then the tables, a line for each row
    snippet: str | None
    folder: str | None  # its path
    account: str | None
    created_at: datetime | None
    modified_at: datetime | None
    pinned: bool
    locked: bool  # nobody can read it without its password: no text
    trashed: bool  # in "Recently Deleted"
    tombstone: bool  # marked for deletion: not to be seen on the phone any more
    shared: bool
    has_checklist: bool
    tags: list[str]  # "#travel"
    links: list[str]
    attachments: list[Attachment]
    is_legacy: bool
