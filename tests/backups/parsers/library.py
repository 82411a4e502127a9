"""A Photos library for tests: the tables of iOS 18 and something of everything."""

import plistlib
from pathlib import Path
from typing import Any

from app.backups.parsers.photos import Attributes, RawAsset
from tests.backups.parsers.tables import Tables

TAKEN = 704735807.25  # 2023-05-02 15:56:47.25 UTC
COMMON = {
    "ZADDITIONALASSETATTRIBUTES": ", ".join(Attributes._fields[1:]),
    "ZEXTENDEDATTRIBUTES": "ZASSET, ZCAMERAMAKE, ZCAMERAMODEL",
    "ZASSETDESCRIPTION": "ZASSETATTRIBUTES, ZLONGDESCRIPTION",
    "ZGENERICALBUM": "ZKIND, ZTITLE, ZUUID, ZPARENTFOLDER, ZTRASHEDSTATE",
    "ZKEYWORD": "ZTITLE",
    "ZPERSON": "ZFULLNAME, ZDISPLAYNAME, ZMERGETARGETPERSON",
    "Z_PRIMARYKEY": "Z_ENT, Z_NAME",
}


class Library(Tables):
    """A library of one generation: names of tables and columns as it has them."""

    def __init__(self, path: Path, *, number: int = 30, old: bool = False) -> None:
        """`number` is that of albums; `old` is before iOS 14."""
        self.assets = "ZGENERICASSET" if old else "ZASSET"
        self._album, self._asset = f"Z_{number}ALBUMS", "Z_27ASSETS" if old else "Z_3ASSETS"
        self._join, self._face = f"Z_{number}ASSETS", "" if old else "FORFACE"
        tables = {
            self.assets: ", ".join(RawAsset._fields[1:]),
            self._join: f"{self._album}, {self._asset}",
            "Z_1KEYWORDS": f"Z_1ASSETATTRIBUTES, Z_{number + 17}KEYWORDS",
            "ZDETECTEDFACE": f"ZASSET{self._face}, ZPERSON{self._face}, ZISINTRASH",
            **COMMON,
        }
        super().__init__(path, tables)
        self._keyword = f"Z_{number + 17}KEYWORDS"
        self.add("Z_PRIMARYKEY", Z_ENT=number, Z_NAME="Album")

    def photo(self, more: dict[str, Any] | None = None, **columns: Any) -> int:
        """Add an asset, a still of the camera unless said otherwise; `more` are its attributes."""
        row = {
            "ZDIRECTORY": "DCIM/100APPLE", "ZFILENAME": "IMG_0001.HEIC", "ZKIND": 0,
            "ZKINDSUBTYPE": 0, "ZDATECREATED": TAKEN, "ZLATITUDE": -180.0, "ZLONGITUDE": -180.0,
            "ZTRASHEDSTATE": 0, "ZVISIBILITYSTATE": 0, **columns,
        }  # fmt: skip
        asset = self.add(self.assets, **row)
        if more is not None:
            attributes = self.add("ZADDITIONALASSETATTRIBUTES", **{"ZASSET": asset, **more})
            self.db.execute(
                f"UPDATE {self.assets} SET ZADDITIONALATTRIBUTES = ? WHERE id = ?",
                (attributes, asset),
            )
        return asset

    def album(self, title: str | None, *photos: int, **columns: Any) -> int:
        album = self.add("ZGENERICALBUM", ZTITLE=title, **{"ZKIND": 2, **columns})
        for photo in photos:
            self.add(self._join, **{self._album: album, self._asset: photo})
        return album

    def keyword(self, title: str, *attributes: int) -> None:
        keyword = self.add("ZKEYWORD", ZTITLE=title)
        for one in attributes:
            self.add("Z_1KEYWORDS", Z_1ASSETATTRIBUTES=one, **{self._keyword: keyword})

    def face(self, photo: int, person: int, **columns: Any) -> int:
        who = {f"ZASSET{self._face}": photo, f"ZPERSON{self._face}": person}
        return self.add("ZDETECTEDFACE", **who, **columns)

    def fill(self, photos: int) -> "Library":
        """Photos with something of everything."""
        self.add("ZPERSON", ZFULLNAME="Ada")
        ids = []
        for number in range(photos):
            one = self.photo(
                {"ZTITLE": "boat", "ZREVERSELOCATIONDATA": place("Pier"), "ZTIMEZONEOFFSET": 7200},
                ZUUID=f"U{number}", ZLATITUDE=1.5, ZLONGITUDE=2.5, ZDURATION=1.5, ZFAVORITE=1,
                ZKINDSUBTYPE=(0, 2, 10)[number % 3],
            )  # fmt: skip
            self.add("ZASSETDESCRIPTION", ZASSETATTRIBUTES=one, ZLONGDESCRIPTION="oars")
            self.add("ZEXTENDEDATTRIBUTES", ZASSET=one, ZCAMERAMAKE="Apple", ZCAMERAMODEL="X")
            self.face(one, 1)
            ids.append(one)
        self.album("Lake", *ids)
        self.keyword("sea", *ids)
        return self


def place(name: str, **address: str) -> bytes:
    """What the phone keeps of a place: an archive with a postal address."""
    objects: list[Any] = ["$null", {"mapItem": plistlib.UID(2), "postalAddress": plistlib.UID(4)}]
    objects += [{"sortedPlaceInfos": plistlib.UID(3)}, {"NS.objects": [plistlib.UID(5)]}]
    parts = {f"_{key}": plistlib.UID(7 + n) for n, key in enumerate(address)}
    objects += [parts, {"name": plistlib.UID(6), "placeType": 3}, name, *address.values()]
    archive = {"$archiver": "NSKeyedArchiver", "$top": {"root": plistlib.UID(1)}}
    return plistlib.dumps({**archive, "$objects": objects}, fmt=plistlib.FMT_BINARY)
