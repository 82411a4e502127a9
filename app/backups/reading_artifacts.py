"""Reading the databases beside Messages, as the limited child process does it: all in one way.

What goes over the pipe and what may go wrong: see `reading`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from app.backups.parsers import jids
from app.backups.parsers.artifact import BATCH, Artifact, Chain
from app.backups.parsers.calendar import Calendar
from app.backups.parsers.contacts import Contacts, read_pictured
from app.backups.parsers.errors import NotInBackup, SourceError
from app.backups.parsers.jids import Known
from app.backups.parsers.notes import Notes
from app.backups.parsers.notes_legacy import LegacyNotes
from app.backups.parsers.photos import Photos
from app.backups.parsers.source import Source
from app.backups.parsers.whatsapp import WhatsApp

T = TypeVar("T")
U = TypeVar("U")
Reader: TypeAlias = Artifact[Any] | Chain[Any]


class Request:
    """What to read; see `read`. Opens databases, and closes them all at its end."""

    def __init__(self, request: dict[str, Any], closing: ExitStack) -> None:
        self._request = request
        self._closing = closing
        self.warnings: list[dict[str, str]] = []
        folder = request.get("folder")
        self.folder = Path(folder) if folder else None

    @property
    def source(self) -> Source:
        """The database itself.

        Raises:
            SourceError: it cannot be opened.
        """
        return self._open(self._request)

    def only(self, name: str) -> Source:
        """A further database that is all there is.

        Raises:
            SourceError: it is not there either, or cannot be opened.
        """
        named = (self._request.get("extra") or {}).get(name)
        if named is None:
            raise NotInBackup(f"there is neither a database nor {name}.")
        return self._open(named)

    def beside(self, name: str, use: Callable[[Source], T], otherwise: U) -> T | U:
        """What `use` makes of a further database, if there is one that can be read."""
        named = (self._request.get("extra") or {}).get(name)
        if named is None:
            return otherwise
        try:
            return use(self._open(named))
        except SourceError as error:
            self.warnings.append({"code": error.code, "detail": f"{name}: {error}"})
            return otherwise

    def _open(self, named: dict[str, Any]) -> Source:
        wal = named.get("wal")
        source = Source(Path(named["database"]), Path(wal) if wal else None)
        return self._closing.enter_context(source)


def read(request: dict[str, Any], make: Callable[[Request], Reader]) -> Iterator[Any]:
    """Read one database.

    Args:
        request: "database", a path; and optionally "wal", the path of its write-ahead log where
            that is not beside it; "folder", the backup in which to look for files; "batch", rows
            read at once; "after_rowid", where an earlier run has got to; "extra", further
            databases by logical name, each a map with "database" and perhaps "wal".
        make: the parser.

    Yields:
        ("head", {"total", ...}): `total` records in the whole database, and the parser's heads.
            `total` is what all records of a run from 0 add up to, plus losses.
        ("records", rows, last_rowid, lost): records in rowid order, perhaps none. `last_rowid` is
            the next run's "after_rowid"; `lost` counts what damage has hidden in this run so far.
        ("end", {"warnings", "counts"}): warnings as {"code", "detail"}; counts of this run, see
            the parser.

    Raises:
        SourceError: the database cannot be read; no frame follows.
    """
    with ExitStack() as closing:
        wanted = Request(request, closing)
        artifact = make(wanted)
        yield "head", {"total": artifact.total, **artifact.heads}
        last, batch = int(request.get("after_rowid") or 0), int(request.get("batch") or BATCH)
        given = told = 0
        for records, rowid in artifact.batches(after=last, batch=batch):
            given, last, told = given + len(records), rowid, artifact.lost
            yield "records", records, last, told
        if artifact.lost > told:  # behind the last record
            yield "records", [], last, artifact.lost
        warnings = [*wanted.warnings, *_damage(artifact, given)]
        yield "end", {"warnings": warnings, "counts": dict(artifact.counts)}


def read_contacts(request: dict[str, Any]) -> Iterator[Any]:
    """Read an address book; extra: "contact_images". See `read` and `Contacts`."""

    def make(wanted: Request) -> Contacts:
        nobody: frozenset[int] = frozenset()
        return Contacts(wanted.source, wanted.beside("contact_images", read_pictured, nobody))

    return read(request, make)


def read_whatsapp(request: dict[str, Any]) -> Iterator[Any]:
    """Read WhatsApp's messages; extra: "whatsapp_contacts", "whatsapp_lid".

    The request may also have "business": True for WhatsApp Business. See `read` and `WhatsApp`.
    """

    def make(wanted: Request) -> WhatsApp:
        nobody = Known({}, {})
        known = (
            wanted.beside("whatsapp_contacts", jids.read_contacts, nobody),
            wanted.beside("whatsapp_lid", jids.read_lids, nobody),
        )
        business = bool(request.get("business"))
        return WhatsApp(wanted.source, wanted.folder, known=known, business=business)

    return read(request, make)


def read_notes(request: dict[str, Any]) -> Iterator[Any]:
    """Read notes; extra: "notes_legacy", which may be all there is ("database" None).

    See `read`, `Notes` and `LegacyNotes`.
    """

    def make(wanted: Request) -> Reader:
        if request.get("database") is None:
            return LegacyNotes(wanted.only("notes_legacy"))
        notes = Notes(wanted.source, wanted.folder)
        legacy = wanted.beside("notes_legacy", LegacyNotes, None)
        return notes if legacy is None else Chain(notes, legacy)

    return read(request, make)


def read_calendar(request: dict[str, Any]) -> Iterator[Any]:
    """Read calendars and events. See `read` and `Calendar`."""
    return read(request, lambda wanted: Calendar(wanted.source))


def read_photos(request: dict[str, Any]) -> Iterator[Any]:
    """Read a photo library. See `read` and `Photos`."""
    return read(request, lambda wanted: Photos(wanted.source, wanted.folder))


READERS = {  # by logical name
    "contacts": read_contacts,
    "whatsapp": read_whatsapp,
    "notes": read_notes,
    "calendar": read_calendar,
    "photos": read_photos,
}


def _damage(artifact: Reader, given: int) -> list[dict[str, str]]:
    found = []
    if artifact.lost:
        whole = given + artifact.lost
        detail = f"The database is damaged: salvaged {given} of {whole} records."
        found.append({"code": "damaged", "detail": detail})
    if artifact.counts["undecodable"]:
        detail = f"Bodies that cannot be read: {artifact.counts['undecodable']}."
        found.append({"code": "damaged", "detail": detail})
    if artifact.hurt:
        where = ", ".join(artifact.hurt)
        detail = f"Damage hides rows of {where}: what belongs to some records is missing."
        found.append({"code": "damaged", "detail": detail})
    return found
