"""Schemas of photo libraries from ../shared/data/ios beside the repository, if they are there."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.backups.parsers.photos import Photos
from app.backups.parsers.source import Source
from tests.real.phones import IOS, from_schema

SCHEMAS = sorted((IOS / "schemas_reconstructed").glob("photos_*.sql")) if IOS.is_dir() else []

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not IOS.is_dir(), reason=f"no real data at {IOS}"),
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_every_generation_is_read(tmp_path: Path, schema: Path) -> None:
    path = from_schema(tmp_path, f"schemas_reconstructed/{schema.name}")
    fill(path)

    with Source(path) as source:
        photos = Photos(source)
        first, second = (one for batch in photos.batches() for one in batch.records)

        assert photos.heads["albums"][0].asset_count == 1
    assert (first.filename, first.subtype) == ("IMG_0001.HEIC", "live")
    assert (first.albums, first.keywords, first.people) == (["Lake"], ["sea"], ["Ada"])
    assert (first.title, first.caption, first.file_size_bytes) == ("Boat", "with oars", 42)
    assert first.time_zone_offset_seconds == 7200
    assert first.edited
    assert (second.albums, second.keywords, second.people, second.edited) == ([], [], [], False)


def fill(path: Path) -> None:
    """Two photos; the first one in an album, with a keyword, a face, a title and a caption."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]

        def columns(table: str) -> list[str]:
            return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]

        def add(table: str, **values: object) -> None:
            marks = ", ".join("?" * len(values))
            sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
            db.execute(sql, list(values.values()))

        assets = "ZASSET" if "ZASSET" in tables else "ZGENERICASSET"
        edits = next(
            one for one in columns(assets) if one in {"ZHASADJUSTMENTS", "ZADJUSTMENTSSTATE"}
        )
        for number in (1, 2):
            add(
                assets, Z_PK=number, ZKIND=0, ZKINDSUBTYPE=2, ZADDITIONALATTRIBUTES=number,
                ZDIRECTORY="DCIM/100APPLE", ZFILENAME=f"IMG_000{number}.HEIC",
                **{edits: number % 2},
            )  # fmt: skip
            add(
                "ZADDITIONALASSETATTRIBUTES", Z_PK=number, ZASSET=number, ZTIMEZONEOFFSET=7200,
                ZTITLE="Boat", ZORIGINALFILESIZE=42, ZASSETDESCRIPTION=number,
            )  # fmt: skip
        add("ZASSETDESCRIPTION", Z_PK=1, ZASSETATTRIBUTES=1, ZLONGDESCRIPTION="with oars")
        join = next(one for one in tables if re.fullmatch(r"Z_\d+ASSETS", one))
        album, asset = columns(join)[:2]
        add("ZGENERICALBUM", Z_PK=1, ZKIND=2, ZTITLE="Lake", ZTRASHEDSTATE=0)
        add(join, **{album: 1, asset: 1})
        add("ZKEYWORD", Z_PK=5, ZTITLE="sea")
        attributes, keyword = columns("Z_1KEYWORDS")[:2]
        add("Z_1KEYWORDS", **{attributes: 1, keyword: 5})
        add("ZPERSON", Z_PK=9, ZFULLNAME="Ada")
        faces = columns("ZDETECTEDFACE")
        suffix = "FORFACE" if "ZPERSONFORFACE" in faces else ""
        add("ZDETECTEDFACE", **{f"ZASSET{suffix}": 1, f"ZPERSON{suffix}": 9})
