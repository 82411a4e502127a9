"""Albums, keywords and people, and which photos are in them.

The tables that join them are named after numbers of classes, which differ by version
(`Z_26ASSETS`, `Z_30ASSETS`): they are found by their pattern.

Reads `Z_PRIMARYKEY`: Z_ENT, Z_NAME. `ZGENERICALBUM`: ZKIND, ZTITLE, ZUUID, ZPARENTFOLDER,
ZTRASHEDSTATE. `Z_<n>ASSETS`: Z_<n>ALBUMS, Z_<m>ASSETS. `ZKEYWORD`: ZTITLE. `Z_<n>KEYWORDS`:
Z_<n>ASSETATTRIBUTES, Z_<m>KEYWORDS. `ZPERSON`: ZFULLNAME, ZDISPLAYNAME, ZMERGETARGETPERSON.
`ZDETECTEDFACE`: ZASSET or ZASSETFORFACE, ZPERSON or ZPERSONFORFACE, ZISINTRASH.

Source: docs/formats.md, Photos.
"""

from app.backups.parsers.artifact import all_rows
from app.backups.parsers.cells import int_of, line_of
from app.backups.parsers.core_data import find_join, pairs
from app.backups.parsers.message_joins import Joins
from app.backups.parsers.photo_records import Album, PhotoPerson
from app.backups.parsers.source import Source, Table

_ALBUM_CLASSES = ("Album", "GenericAlbum")
_ALBUMS = Table("ZGENERICALBUM", ("ZKIND", "ZTITLE", "ZUUID", "ZPARENTFOLDER", "ZTRASHEDSTATE"))
_KEYWORDS = Table("ZKEYWORD", ("ZTITLE",))
_PEOPLE = Table("ZPERSON", ("ZFULLNAME", "ZDISPLAYNAME", "ZMERGETARGETPERSON"))
_FACES = Table(
    "ZDETECTEDFACE", ("ZASSET", "ZASSETFORFACE", "ZPERSON", "ZPERSONFORFACE", "ZISINTRASH")
)
_KINDS = {
    2: "album",
    1505: "shared_album",
    1506: "import_session",
    1507: "project",
    1508: "project",
    1509: "conversation",
    1510: "duplicates",
    4000: "folder",
}
_INTERNAL = {3571, 3572, 3573, 3998, 3999}  # progress bars, and the roots of the trees
_MAX_MERGES = 20  # of one person into another


class Albums:
    """All albums, and those of each photo in 16 bytes a pair."""

    def __init__(self, source: Source, last_photo: int, photos: int) -> None:
        self._joins = Joins(last_photo, photos)
        rows = {row[0]: row for row in all_rows(source, _ALBUMS) if row[1] not in _INTERNAL}
        counts = dict.fromkeys(rows, 0)
        join = find_join(source, "ALBUMS", "ASSETS", _ALBUM_CLASSES)
        for album, photo in pairs(source, join):
            if album in rows:
                counts[album] += 1
                self._joins.add(photo, album)
        self.all = [
            Album(
                rowid,
                line_of(uuid),
                line_of(title),
                _KINDS.get(kind, "other") if type(kind) is int else "other",
                int_of(parent) or None,
                trashed == 1,
                counts[rowid],
            )
            for rowid, kind, title, uuid, parent, trashed in rows.values()
        ]
        self._titles = {one.id: one.title for one in self.all if one.title and not one.trashed}
        self.links = sum(counts.values())

    def of(self, photo: int) -> list[str]:
        """The titles of the albums that a photo is in, each once."""
        return _named(self._joins.of(photo), self._titles)


class Keywords:
    """The keywords of photos, by the rows of their additional attributes."""

    def __init__(self, source: Source, last: int, photos: int) -> None:
        self._joins = Joins(last, photos)
        self._titles = {row[0]: line_of(row[1]) for row in all_rows(source, _KEYWORDS)}
        join = find_join(source, "ASSETATTRIBUTES", "KEYWORDS")
        for attributes, keyword in pairs(source, join):
            self._joins.add(attributes, keyword)

    def of(self, attributes: int) -> list[str]:
        """The keywords that belong to a row of additional attributes."""
        return _named(self._joins.of(attributes), self._titles)


class People:
    """Whose faces are on the photos."""

    def __init__(self, source: Source, last_photo: int, photos: int) -> None:
        self._joins = Joins(last_photo, photos)
        rows = {row[0]: row[1:] for row in all_rows(source, _PEOPLE)}
        targets = {rowid: int_of(row[2]) for rowid, row in rows.items()}
        self._target = {rowid: _merged(rowid, targets) for rowid in rows}
        names = {rowid: line_of(full) or line_of(shown) for rowid, (full, shown, _) in rows.items()}
        self._names = {rowid: names[target] for rowid, target in self._target.items()}
        counts = dict.fromkeys(rows, 0)
        self.faces = 0
        for _, asset, asset_17, person, person_17, trashed in all_rows(source, _FACES):
            who = int_of(person_17) or int_of(person)
            if trashed != 1 and who in counts:
                self.faces += 1
                counts[self._target[who]] += 1
                self._joins.add(int_of(asset_17) or int_of(asset), who)
        self.all = [
            PhotoPerson(rowid, names[rowid], counts[rowid])
            for rowid in rows
            if self._target[rowid] == rowid
        ]

    def of(self, photo: int) -> list[str]:
        """The names of those whose faces are on a photo, each once."""
        return _named(self._joins.of(photo), self._names)


def _named(numbers: list[int], names: dict[int, str | None] | dict[int, str]) -> list[str]:
    found = (names.get(number) for number in numbers)
    return list(dict.fromkeys(name for name in found if name)) if numbers else []


def _merged(person: int, targets: dict[int, int | None]) -> int:
    """Who a person was found to be."""
    for _ in range(_MAX_MERGES):
        target = targets[person]
        if not target or target not in targets or target == person:
            break
        person = target
    return person
