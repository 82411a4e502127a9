"""The rows of the made-up photo library (see `app.backups.sample`).

Source: docs/formats.md, Photos.
"""

import random
import sqlite3
from collections import Counter

from app.backups.sample_messages import NEWEST_S, insert

SCHEMA = """
CREATE TABLE ZASSET (Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, ZUUID VARCHAR, ZDIRECTORY VARCHAR,
    ZFILENAME VARCHAR, ZKIND INTEGER, ZKINDSUBTYPE INTEGER, ZDATECREATED TIMESTAMP,
    ZADDEDDATE TIMESTAMP, ZMODIFICATIONDATE TIMESTAMP, ZWIDTH INTEGER, ZHEIGHT INTEGER,
    ZDURATION FLOAT, ZLATITUDE FLOAT, ZLONGITUDE FLOAT, ZFAVORITE INTEGER, ZHIDDEN INTEGER,
    ZTRASHEDSTATE INTEGER, ZTRASHEDDATE TIMESTAMP, ZORIENTATION INTEGER,
    ZUNIFORMTYPEIDENTIFIER VARCHAR, ZSAVEDASSETTYPE INTEGER, ZVISIBILITYSTATE INTEGER,
    ZADDITIONALATTRIBUTES INTEGER);
CREATE TABLE ZADDITIONALASSETATTRIBUTES (Z_PK INTEGER PRIMARY KEY, ZASSET INTEGER,
    ZTIMEZONEOFFSET INTEGER, ZTIMEZONENAME VARCHAR, ZORIGINALFILENAME VARCHAR,
    ZORIGINALFILESIZE INTEGER, ZTITLE VARCHAR);
CREATE TABLE ZASSETDESCRIPTION (Z_PK INTEGER PRIMARY KEY, ZASSETATTRIBUTES INTEGER,
    ZLONGDESCRIPTION VARCHAR);
CREATE TABLE ZGENERICALBUM (Z_PK INTEGER PRIMARY KEY, ZKIND INTEGER, ZTITLE VARCHAR,
    ZUUID VARCHAR, ZTRASHEDSTATE INTEGER);
CREATE TABLE Z_28ASSETS (Z_28ALBUMS INTEGER, Z_3ASSETS INTEGER, Z_FOK_3ASSETS INTEGER,
    PRIMARY KEY (Z_28ALBUMS, Z_3ASSETS));
CREATE TABLE ZPERSON (Z_PK INTEGER PRIMARY KEY, ZFULLNAME VARCHAR);
CREATE TABLE ZDETECTEDFACE (Z_PK INTEGER PRIMARY KEY, ZASSETFORFACE INTEGER,
    ZPERSONFORFACE INTEGER);
"""
_USER_ALBUM = 2
_NOWHERE = -180.0
_PHOTOS = 60


def write(db: sqlite3.Connection, chance: random.Random, truth: Counter[str]) -> None:
    """Fill the tables, and count in `truth`."""
    assets, attributes = [], []
    for number in range(1, _PHOTOS + 1):
        video, here = number % 9 == 0, number % 3 > 0
        name = f"IMG_{number:04d}.{'MOV' if video else 'HEIC'}"
        at = float(NEWEST_S - number * 7200)
        latitude, longitude = (38.7 + chance.random(), -9.1) if here else (_NOWHERE, _NOWHERE)
        assets.append(
            (number, f"PHOTO-{number:04d}", "DCIM/100APPLE", name, int(video), 100 if video else 0,
             at, at, 4032, 3024, 12.5 if video else 0.0, latitude, longitude, number % 11 == 0,
             0, number % 29 == 0, 1, "public.heic", 3, 0, number)
        )  # fmt: skip
        attributes.append((number, number, 3600, "Europe/Lisbon", name, 2_000_000 + number))
    columns = "Z_PK ZUUID ZDIRECTORY ZFILENAME ZKIND ZKINDSUBTYPE ZDATECREATED ZADDEDDATE ZWIDTH"
    columns += " ZHEIGHT ZDURATION ZLATITUDE ZLONGITUDE ZFAVORITE ZHIDDEN ZTRASHEDSTATE"
    columns += " ZORIENTATION ZUNIFORMTYPEIDENTIFIER ZSAVEDASSETTYPE ZVISIBILITYSTATE"
    insert(db, "ZASSET", f"{columns} ZADDITIONALATTRIBUTES", assets)
    columns = "Z_PK ZASSET ZTIMEZONEOFFSET ZTIMEZONENAME ZORIGINALFILENAME ZORIGINALFILESIZE"
    insert(db, "ZADDITIONALASSETATTRIBUTES", columns, attributes)
    described = [(1, 1, "fireflies over the vineyard")]
    insert(db, "ZASSETDESCRIPTION", "Z_PK ZASSETATTRIBUTES ZLONGDESCRIPTION", described)
    album = [(1, _USER_ALBUM, "Summer in Lisbon", "album-1", 0)]
    insert(db, "ZGENERICALBUM", "Z_PK ZKIND ZTITLE ZUUID ZTRASHEDSTATE", album)
    kept = [(1, number, number) for number in range(1, 21)]
    insert(db, "Z_28ASSETS", "Z_28ALBUMS Z_3ASSETS Z_FOK_3ASSETS", kept)
    insert(db, "ZPERSON", "Z_PK ZFULLNAME", [(1, "Grace Hopper")])
    insert(db, "ZDETECTEDFACE", "Z_PK ZASSETFORFACE ZPERSONFORFACE", [(1, 1, 1), (2, 2, 1)])
    truth["photos"] = len(assets)
