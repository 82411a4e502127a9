"""Photos (`Photos.sqlite`): every picture and video with its albums, people, words and place.

Reads `ZASSET` (before iOS 14 `ZGENERICASSET`), whose wanted columns are the fields of `RawAsset`, in
one scan by rowid. Looked up a batch at a time: `ZADDITIONALASSETATTRIBUTES`: ZASSET, ZTIMEZONEOFFSET,
ZTIMEZONENAME, ZORIGINALFILENAME, ZORIGINALFILESIZE, ZORIGINALWIDTH, ZORIGINALHEIGHT, ZTITLE,
ZASSETDESCRIPTION, ZREVERSELOCATIONDATA. `ZEXTENDEDATTRIBUTES`: ZASSET, ZCAMERAMAKE, ZCAMERAMODEL.
`ZASSETDESCRIPTION`: ZASSETATTRIBUTES, ZLONGDESCRIPTION. Albums, keywords and people: see
`photo_collections`.

Source: docs/formats.md, Photos.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from app.backups.parsers.apple_time import from_apple
from app.backups.parsers.artifact import Artifact
from app.backups.parsers.backup_files import Files, file_id
from app.backups.parsers.cells import code_of, float_of, line_of, place_of, size_of, text_of
from app.backups.parsers.errors import UnsupportedSchema
from app.backups.parsers.lookup import Companions
from app.backups.parsers.photo_collections import Albums, Keywords, People
from app.backups.parsers.photo_places import read_place
from app.backups.parsers.photo_records import Photo
from app.backups.parsers.source import Row, Source, Table

SUBTYPES = {
    0: "still",
    1: "panorama",
    2: "live",
    10: "screenshot",
    100: "video",
    101: "slo_mo",
    102: "time_lapse",
    103: "screen_recording",
}
_TABLES = ("ZASSET", "ZGENERICASSET")
_ORIGINS = {
    3: "own",
    4: "shared_album",
    6: "icloud",
    7: "shared_link",
    8: "shared_link",
    12: "shared_with_you",
}
_VIDEO = 1  # ZKIND
_LIVE = 2  # ZKINDSUBTYPE
_DOMAIN = "CameraRollDomain"
_GIF = "com.compuserve.gif"
_SUFFIX = re.compile(r"\.[^./]*$")
_MAX_OFFSET_S = 86400


class RawAsset(NamedTuple):
    """A row of assets as it is read."""

    rowid: int
    zuuid: Any
    zdirectory: Any
    zfilename: Any
    zkind: Any
    zkindsubtype: Any
    zisdetectedscreenshot: Any
    zsavedassettype: Any
    zdatecreated: Any
    zaddeddate: Any
    zmodificationdate: Any
    zwidth: Any
    zheight: Any
    zorientation: Any
    zduration: Any
    zlatitude: Any
    zlongitude: Any
    zfavorite: Any
    zhidden: Any
    ztrashedstate: Any
    ztrasheddate: Any
    zvisibilitystate: Any
    zhasadjustments: Any
    zadjustmentsstate: Any
    zavalancheuuid: Any
    zuniformtypeidentifier: Any
    zadditionalattributes: Any
    zextendedattributes: Any


class Attributes(NamedTuple):
    """A row of additional attributes as it is read."""

    rowid: int
    zasset: Any
    ztimezoneoffset: Any
    ztimezonename: Any
    zoriginalfilename: Any
    zoriginalfilesize: Any
    zoriginalwidth: Any
    zoriginalheight: Any
    ztitle: Any
    zassetdescription: Any
    zreverselocationdata: Any


_NO_ATTRIBUTES = Attributes._make([0, *[None] * (len(Attributes._fields) - 1)])
_ATTRIBUTES = Table("ZADDITIONALASSETATTRIBUTES", Attributes._fields[1:])
_EXTENDED = Table("ZEXTENDEDATTRIBUTES", ("ZASSET", "ZCAMERAMAKE", "ZCAMERAMODEL"))
_DESCRIPTIONS = Table("ZASSETDESCRIPTION", ("ZASSETATTRIBUTES", "ZLONGDESCRIPTION"))


class Photos(Artifact[Photo]):
    """The assets of one library. See `Artifact`.

    `counts`: photos, one for each kind and subtype ("kind_video", "subtype_live"), favorite,
    hidden, trashed, with_location, with_place, album_links, faces.
    """

    def __init__(self, source: Source, folder: Path | None = None) -> None:
        """Read everything but the assets themselves.

        Args:
            source: the opened library.
            folder: the backup in which to look whether files are there, or None.

        Raises:
            UnsupportedSchema: this is no library of a kind we know.
            Corrupt: the schema is unreadable, or reading takes far too long.
        """
        name = next(filter(source.columns, _TABLES), None)
        if name is None:
            raise UnsupportedSchema("there is no table ZASSET: this is not a Photos library.")
        source.require(name, ("ZFILENAME", "ZDATECREATED"))
        self.table = Table(name, RawAsset._fields[1:])
        super().__init__(source)
        last = source.last_rowid(name)
        self._albums = Albums(source, last, self.total)
        self._people = People(source, last, self.total)
        self._keywords = Keywords(source, source.last_rowid(_ATTRIBUTES.name), self.total)
        self._attributes = Companions(source, _ATTRIBUTES)
        self._extended = Companions(source, _EXTENDED)
        self._descriptions = Companions(source, _DESCRIPTIONS)
        self._files = Files(_DOMAIN, folder)

    @property
    def heads(self) -> dict[str, list[Any]]:
        """`albums` and `people`, in rowid order."""
        return {"albums": self._albums.all, "people": self._people.all}

    def _records(self, rows: list[Row]) -> list[Photo]:
        raws = list(map(RawAsset._make, rows))
        found = self._attributes.fetch({raw.rowid: raw.zadditionalattributes for raw in raws})
        attributes = {rowid: Attributes._make(row) for rowid, row in found.items()}
        cameras = self._extended.fetch({raw.rowid: raw.zextendedattributes for raw in raws})
        named = {one.rowid: one.zassetdescription for one in attributes.values()}
        captions = self._descriptions.fetch(named)
        return [
            self._photo(
                raw, attributes.get(raw.rowid, _NO_ATTRIBUTES), captions, cameras.get(raw.rowid, ())
            )
            for raw in raws
        ]

    def _photo(
        self, raw: RawAsset, more: Attributes, captions: dict[int, Row], camera: Row
    ) -> Photo:
        rowid = raw.rowid
        directory, filename = line_of(raw.zdirectory), line_of(raw.zfilename)
        path = f"Media/{directory}/{filename}" if directory and filename else None
        name, present = self._files.find(path)
        caption = captions.get(more.rowid)
        return Photo(
            rowid,
            _uuid(raw.zuuid) or f"asset-{rowid}",
            filename,
            directory,
            "video" if raw.zkind == _VIDEO else "photo",
            _subtype(raw),
            code_of(raw.zkindsubtype),
            from_apple(raw.zdatecreated),
            _zone_offset(more.ztimezoneoffset),
            line_of(more.ztimezonename),
            from_apple(raw.zaddeddate),
            from_apple(raw.zmodificationdate),
            _pixels(raw.zwidth, more.zoriginalwidth),
            _pixels(raw.zheight, more.zoriginalheight),
            code_of(raw.zorientation),
            _duration(raw.zduration),
            *place_of(raw.zlatitude, raw.zlongitude),
            read_place(more.zreverselocationdata),
            raw.zfavorite == 1,
            raw.zhidden == 1,
            raw.ztrashedstate == 1,
            from_apple(raw.ztrasheddate),
            raw.zvisibilitystate in (0, None),
            raw.zhasadjustments == 1 or bool(code_of(raw.zadjustmentsstate)),
            line_of(raw.zavalancheuuid),
            self._albums.of(rowid),
            line_of(more.ztitle),
            None if caption is None else text_of(caption[2]),
            self._keywords.of(more.rowid),
            self._people.of(rowid),
            line_of(more.zoriginalfilename),
            line_of(raw.zuniformtypeidentifier),
            _camera(*camera[2:]),
            _origin(raw.zsavedassettype),
            name,
            present,
            _live_video(path) if raw.zkindsubtype == _LIVE else None,
            size_of(more.zoriginalfilesize),
        )

    def _tally(self, records: list[Photo]) -> None:
        counts = self.counts
        counts["photos"] += len(records)
        counts["album_links"], counts["faces"] = self._albums.links, self._people.faces
        for one in records:
            counts[f"kind_{one.kind}"] += 1
            counts[f"subtype_{one.subtype}"] += 1
            counts["favorite"] += one.favorite
            counts["hidden"] += one.hidden
            counts["trashed"] += one.trashed
            counts["with_location"] += one.latitude is not None
            counts["with_place"] += one.place is not None


def _subtype(raw: RawAsset) -> str:
    code = raw.zkindsubtype
    named = SUBTYPES.get(code, "other") if type(code) is int else "still"
    if named != "still":
        return named
    if raw.zkind == _VIDEO:
        return "video"
    if raw.zisdetectedscreenshot == 1:
        return "screenshot"
    return "animated" if raw.zuniformtypeidentifier == _GIF else named


def _uuid(value: object) -> str | None:
    """An identifier, which iOS 6 has stored as its 16 bytes."""
    if type(value) is bytes and len(value) == 16:
        return str(UUID(bytes=value)).upper()
    return line_of(value)


def _zone_offset(value: object) -> int | None:
    offset = code_of(value)
    return offset if offset is not None and abs(offset) <= _MAX_OFFSET_S else None


def _pixels(shown: object, original: object) -> int | None:
    for value in (shown, original):
        pixels = code_of(value)
        if pixels is not None and pixels > 0:
            return pixels
    return None


def _duration(value: object) -> float | None:
    seconds = float_of(value)
    return seconds if seconds is not None and seconds > 0 else None


def _camera(make: object = None, model: object = None) -> str | None:
    maker, name = line_of(make), line_of(model)
    if maker and name and not name.lower().startswith(maker.lower()):
        return f"{maker} {name}"
    return name or maker


def _origin(value: object) -> str:
    code = code_of(value)
    return "other" if code is None else _ORIGINS.get(code, "other")


def _live_video(path: str | None) -> str | None:
    """The moving half of a live photo lies beside the still one."""
    return None if path is None else file_id(_DOMAIN, _SUFFIX.sub("", path) + ".MOV")
