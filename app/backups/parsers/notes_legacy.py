"""Notes of iOS 8 and before (`notes.sqlite`), which newer systems still keep beside the others.

Reads `ZNOTE`: ZTITLE, ZSUMMARY, ZBODY, ZSTORE, ZCREATIONDATE, ZMODIFICATIONDATE, ZDELETEDFLAG,
ZGUID, ZSERVERID, ZISBOOKKEEPINGENTRY. `ZNOTEBODY`: ZOWNER, ZCONTENT. `ZSTORE`: ZNAME, ZACCOUNT. `ZACCOUNT`: ZNAME.

Source: docs/formats.md, Notes.
"""

import html
import re
from collections.abc import Iterator
from typing import Any

from app.backups.parsers.apple_time import from_apple
from app.backups.parsers.artifact import BATCH, Artifact, Batch, all_rows
from app.backups.parsers.cells import int_of, line_of, text_of
from app.backups.parsers.lookup import Companions
from app.backups.parsers.note_records import FIRST_LEGACY, Account, Folder, Note
from app.backups.parsers.notes import tally
from app.backups.parsers.source import Row, Source, Table

_BODIES = Table("ZNOTEBODY", ("ZOWNER", "ZCONTENT"))
_STORES = Table("ZSTORE", ("ZNAME", "ZACCOUNT"))
_ACCOUNTS = Table("ZACCOUNT", ("ZNAME",))

_TAG = re.compile(r"(<[^<>]*>)")
_BREAKS = re.compile(r"<(?:br\b|/p\b|/div\b|/li\b|/tr\b|/h\d\b)", re.IGNORECASE)
_HIDDEN = re.compile(r"<(style|script|head|title)\b", re.IGNORECASE)


class LegacyNotes(Artifact[Note]):
    """The notes of one old store. See `Artifact`; `counts` as those of `Notes`."""

    table = Table(
        "ZNOTE",
        (
            "ZTITLE",
            "ZSUMMARY",
            "ZBODY",
            "ZSTORE",
            "ZCREATIONDATE",
            "ZMODIFICATIONDATE",
            "ZDELETEDFLAG",
            "ZGUID",
            "ZSERVERID",
            "ZISBOOKKEEPINGENTRY",
        ),
    )

    def __init__(self, source: Source) -> None:
        """Read everything but the notes themselves.

        Raises:
            UnsupportedSchema: this is no store of a kind we know.
            Corrupt: the schema is unreadable, or reading takes far too long.
        """
        source.require("ZNOTE", ("ZTITLE",))
        super().__init__(source)
        self._bodies = Companions(source, _BODIES)
        self._accounts = {row[0]: line_of(row[1]) for row in all_rows(source, _ACCOUNTS)}
        self._stores = {
            rowid: (line_of(name), self._accounts.get(int_of(account) or 0))
            for rowid, name, account in all_rows(source, _STORES)
        }

    @property
    def heads(self) -> dict[str, list[Any]]:
        """`accounts` and `folders`, in rowid order."""
        return {
            "accounts": [
                Account(FIRST_LEGACY + key, None, name)
                for key, name in self._accounts.items()
                if key < FIRST_LEGACY
            ],
            "folders": [
                Folder(FIRST_LEGACY + key, None, name, name, account, "normal")
                for key, (name, account) in self._stores.items()
                if key < FIRST_LEGACY
            ],
        }

    def batches(self, *, after: int = 0, batch: int = BATCH) -> Iterator[Batch[Note]]:
        """All notes with an id above `after`; `last_rowid` is an id too."""
        for notes, last in super().batches(after=max(after - FIRST_LEGACY, 0), batch=batch):
            yield Batch(notes, FIRST_LEGACY + min(last, FIRST_LEGACY))

    def _records(self, rows: list[Row]) -> list[Note]:
        rows = [row for row in rows if row[0] < FIRST_LEGACY]
        bodies = self._bodies.fetch({row[0]: row[3] for row in rows})
        return [self._note(row, bodies) for row in rows]

    def _note(self, row: Row, bodies: dict[int, Row]) -> Note:
        rowid, title, summary, _, store, created, modified, deleted, guid, server, internal = row
        content = bodies[rowid][2] if rowid in bodies else None
        folder, account = self._stores.get(int_of(store) or 0, (None, None))
        return Note(
            FIRST_LEGACY + rowid,
            line_of(guid) or line_of(server) or f"legacy-note-{rowid}",
            line_of(title),
            text_from_html(content) if isinstance(content, str) else None,
            text_of(summary),
            folder,
            account,
            from_apple(created),
            from_apple(modified),
            pinned=False,
            locked=False,
            trashed=False,
            tombstone=deleted == 1 or internal == 1,
            shared=False,
            has_checklist=False,
            tags=[],
            links=[],
            attachments=[],
            is_legacy=True,
        )

    def _tally(self, records: list[Note]) -> None:
        tally(self.counts, records)


def text_from_html(markup: str) -> str | None:
    """The words of a note written in HTML, its lines apart. Takes time in proportion to its length."""
    words: list[str] = []
    hidden: str | None = None  # the element whose content is not to be seen
    for piece in _TAG.split(markup):
        if not piece.startswith("<") or not piece.endswith(">"):
            words.append("" if hidden else html.unescape(piece))
        elif hidden:
            hidden = None if piece.lower().startswith(f"</{hidden}") else hidden
        elif found := _HIDDEN.match(piece):
            hidden = found[1].lower()
        elif _BREAKS.match(piece):
            words.append("\n")
    return "".join(words).replace("\0", "").strip() or None
