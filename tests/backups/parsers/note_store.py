"""A store of notes for tests: the tables of iOS 18 and something of everything."""

import gzip
from pathlib import Path
from typing import Any

from tests.backups.parsers.tables import Tables
from tests.backups.parsers.wire import field

OBJECT = (
    "Z_ENT, ZIDENTIFIER, ZTITLE, ZTITLE1, ZTITLE2, ZUSERTITLE, ZSNIPPET, ZFOLDER, ZNOTEDATA,"
    " ZISPASSWORDPROTECTED, ZISPINNED, ZHASCHECKLIST, ZMARKEDFORDELETION, ZINVITATION,"
    " ZSERVERSHAREDATA, ZACCOUNT, ZACCOUNT3, ZACCOUNT7, ZCREATIONDATE, ZCREATIONDATE3,"
    " ZMODIFICATIONDATE1, ZNAME, ZPARENT, ZOWNER, ZFOLDERTYPE, ZNOTE, ZNOTE1, ZPARENTATTACHMENT,"
    " ZTYPEUTI, ZTYPEUTI1, ZALTTEXT, ZFILENAME, ZGENERATION, ZGENERATION1, ZFILESIZE, ZMEDIA,"
    " ZOCRSUMMARY, ZHANDWRITINGSUMMARY, ZADDITIONALINDEXABLETEXT, ZURLSTRING, ZMERGEABLEDATA1"
)
TABLES = {
    "ZICCLOUDSYNCINGOBJECT": OBJECT,
    "ZICNOTEDATA": "ZNOTE, ZDATA",
    "Z_PRIMARYKEY": "Z_ENT, Z_NAME",
}
HASHTAG = "com.apple.notes.inlinetextattachment.hashtag"
TABLE = "com.apple.notes.table"
CLASSES = {
    "ICAttachment": 4,
    "ICInlineAttachment": 8,
    "ICMedia": 10,
    "ICNote": 11,
    "ICAccount": 13,
    "ICFolder": 14,
}


class NoteStore(Tables):
    """Account 1, its trash 2, folder 3 ("Notes"), and folder 4 ("2024") within it."""

    def __init__(self, path: Path, shift: int = 0) -> None:
        """`shift` is added to the numbers of the classes, as other versions have them."""
        super().__init__(path, TABLES)
        self._shift = shift
        for name, number in CLASSES.items():
            self.add("Z_PRIMARYKEY", Z_ENT=number + shift, Z_NAME=name)
        self.put("ICAccount", ZNAME="iCloud", ZIDENTIFIER="ACC")
        self.folder("Recently Deleted", ZFOLDERTYPE=1, ZIDENTIFIER="TrashFolder-CloudKit")
        self.folder("Notes", ZFOLDERTYPE=0)
        self.folder("2024", ZPARENT=3)

    def put(self, name: str, **columns: Any) -> int:
        return self.add("ZICCLOUDSYNCINGOBJECT", Z_ENT=CLASSES[name] + self._shift, **columns)

    def folder(self, title: str | None, **columns: Any) -> int:
        return self.put("ICFolder", ZTITLE2=title, **{"ZOWNER": 1, **columns})

    def note(self, body: object = None, **columns: Any) -> int:
        """Add a note to folder 3, of account 1, unless said otherwise."""
        data = self.add("ZICNOTEDATA", ZDATA=body)
        row = {"ZNOTEDATA": data, "ZFOLDER": 3, "ZACCOUNT7": 1, **columns}
        return self.put("ICNote", **row)

    def attach(self, note: int | None, uti: str = "public.jpeg", **columns: Any) -> int:
        return self.put("ICAttachment", ZNOTE=note, ZTYPEUTI=uti, **columns)

    def fill(self, notes: int) -> "NoteStore":
        """Notes with something of everything, and no other rows between them."""
        first = 10_000
        for number in range(notes):
            data = self.add("ZICNOTEDATA", ZDATA=body(f"Boat {number}\nline\n\ufffc"))
            self.put(
                "ICNote", id=first + number, ZNOTEDATA=data, ZFOLDER=3, ZACCOUNT7=1,
                ZIDENTIFIER=f"N{number}", ZTITLE1=f"Boat {number}", ZCREATIONDATE3=7e8 + number,
                ZMODIFICATIONDATE1=7e8 + number, ZSNIPPET="line " * 20, ZISPINNED=number % 2,
            )  # fmt: skip
        media = self.put("ICMedia", id=9001, ZIDENTIFIER="M", ZFILENAME="a.jpg")
        for number in range(min(notes, 10)):
            self.attach(first + number, id=9010 + number, ZMEDIA=media, ZOCRSUMMARY="boat")
            self.attach(
                first + number, TABLE, id=9100 + number, ZMERGEABLEDATA1=table([["a", "b"]])
            )
            self.put(
                "ICInlineAttachment", id=9200 + number, ZNOTE1=first + number, ZALTTEXT="#boat",
                ZTYPEUTI1=HASHTAG,
            )  # fmt: skip
        return self


def body(text: str, *runs: bytes) -> bytes:
    """The body of a note."""
    note = field(2, text) + b"".join(field(5, run) for run in runs)
    return gzip.compress(field(1, 0) + field(2, field(2, 0) + field(3, note)), mtime=0)


def table(rows: list[list[str]], *, order: list[int] | None = None) -> bytes:
    """A table as the Notes app keeps it, its rows stored in another order if one is given."""
    height, width = len(rows), len(rows[0])
    ids = [f"row-{n}".encode() for n in range(height)] + [f"col-{n}".encode() for n in range(width)]
    entries: list[bytes] = []

    def put(entry: bytes) -> int:
        entries.append(entry)
        return len(entries) - 1

    def link(number: int) -> bytes:
        return field(6, number)

    def pairs(*found: tuple[int, int]) -> bytes:
        return b"".join(field(1, field(1, link(a)) + field(2, link(b))) for a, b in found)

    def ordered(objects: list[int], names: list[bytes]) -> bytes:
        array = b"".join(field(2, field(1, n) + field(2, one)) for n, one in enumerate(names))
        same = pairs(*((one, one) for one in objects))
        return field(16, field(1, field(1, array) + field(2, same)) + field(2, same))

    put(b"")  # the root, which names the others
    points = [
        put(field(13, field(1, 1) + field(3, field(1, 3) + field(2, field(2, n)))))
        for n in range(height + width)
    ]
    seen = order or list(range(height))
    row_set = put(ordered([points[n] for n in seen], [ids[n] for n in seen]))
    column_set = put(ordered(points[height:], ids[height:]))
    columns = []
    for column in range(width):
        cells = [
            (points[row], put(field(10, field(2, rows[seen.index(row)][column]))))
            for row in range(height)
        ]
        columns.append((points[height + column], put(field(6, pairs(*cells)))))
    all_columns = put(field(6, pairs(*columns)))
    parts = ((0, row_set), (1, column_set), (2, all_columns))
    links = b"".join(field(3, field(1, key) + field(2, link(to))) for key, to in parts)
    entries[0] = field(13, field(1, 0) + links)
    names = b"".join(field(4, one) for one in ("crRows", "crColumns", "cellColumns", "UUIDIndex"))
    types = field(5, "com.apple.notes.ICTable") + field(5, "com.apple.CRDT.NSUUID")
    content = b"".join(field(3, one) for one in entries) + names + types
    content += b"".join(field(6, one) for one in ids)
    return gzip.compress(field(2, field(1, 0) + field(3, content)), mtime=0)
