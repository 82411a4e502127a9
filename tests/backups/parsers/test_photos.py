import plistlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backups.parsers.backup_files import file_id
from app.backups.parsers.errors import UnsupportedSchema
from app.backups.parsers.photo_places import read_place
from app.backups.parsers.photo_records import Album, Photo, PhotoPerson
from app.backups.parsers.photos import Photos
from app.backups.parsers.source import Source
from tests.backups.parsers.library import TAKEN, Library, place
from tests.backups.parsers.tables import Tables

DOMAIN = "CameraRollDomain"
FILE = "Media/DCIM/100APPLE/IMG_0001"
TAKEN_AT = datetime(2023, 5, 2, 15, 56, 47, 250000, tzinfo=UTC)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    made = Library(tmp_path / "Photos.sqlite")
    yield made
    made.db.close()


def test_a_photo_with_everything(library: Library) -> None:
    one = library.photo(
        {
            "ZTIMEZONEOFFSET": 7200, "ZTIMEZONENAME": "Europe/Berlin", "ZTITLE": "Boat",
            "ZORIGINALFILENAME": "IMG_E.HEIC", "ZORIGINALFILESIZE": 12345,
            "ZREVERSELOCATIONDATA": place("Pier 1", city="Berlin", country="Germany"),
        },
        ZUUID="U1", ZKINDSUBTYPE=2, ZSAVEDASSETTYPE=3, ZADDEDDATE=TAKEN, ZMODIFICATIONDATE=TAKEN,
        ZWIDTH=4032, ZHEIGHT=3024, ZORIENTATION=6, ZDURATION=0.0, ZLATITUDE=52.5, ZLONGITUDE=13.25,
        ZFAVORITE=1, ZHIDDEN=1, ZTRASHEDSTATE=1, ZTRASHEDDATE=TAKEN, ZVISIBILITYSTATE=2,
        ZADJUSTMENTSSTATE=2, ZAVALANCHEUUID="B1", ZUNIFORMTYPEIDENTIFIER="public.heic",
    )  # fmt: skip
    library.add("ZASSETDESCRIPTION", ZASSETATTRIBUTES=1, ZLONGDESCRIPTION="with oars")
    library.add("ZEXTENDEDATTRIBUTES", ZASSET=one, ZCAMERAMAKE="Apple", ZCAMERAMODEL="iPhone 15")
    library.album("Lake", one)
    library.album("Lake", one)
    library.album("Trip", one, ZKIND=1505)
    library.keyword("sea", one)
    library.add("ZPERSON", ZFULLNAME="Ada Lovelace")
    library.face(one, 1)

    assert read(library) == [
        Photo(
            1, "U1", "IMG_0001.HEIC", "DCIM/100APPLE", "photo", "live", 2, TAKEN_AT, 7200,
            "Europe/Berlin", TAKEN_AT, TAKEN_AT, 4032, 3024, 6, None, 52.5, 13.25,
            "Pier 1, Berlin, Germany", True, True, True, TAKEN_AT, False, True, "B1",
            ["Lake", "Trip"], "Boat", "with oars", ["sea"], ["Ada Lovelace"], "IMG_E.HEIC",
            "public.heic", "Apple iPhone 15", "own", file_id(DOMAIN, FILE + ".HEIC"), None,
            file_id(DOMAIN, FILE + ".MOV"), 12345,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "kind", "subtype"),
    [
        ({}, "photo", "still"),
        ({"ZKINDSUBTYPE": 1}, "photo", "panorama"),
        ({"ZKINDSUBTYPE": 10}, "photo", "screenshot"),
        ({"ZISDETECTEDSCREENSHOT": 1}, "photo", "screenshot"),
        ({"ZUNIFORMTYPEIDENTIFIER": "com.compuserve.gif"}, "photo", "animated"),
        ({"ZKIND": 1, "ZKINDSUBTYPE": 100}, "video", "video"),
        ({"ZKIND": 1, "ZKINDSUBTYPE": 101}, "video", "slo_mo"),
        ({"ZKIND": 1, "ZKINDSUBTYPE": 102}, "video", "time_lapse"),
        ({"ZKIND": 1, "ZKINDSUBTYPE": 103}, "video", "screen_recording"),
        ({"ZKIND": 1}, "video", "video"),
        ({"ZKINDSUBTYPE": 777}, "photo", "other"),
        ({"ZKIND": None, "ZKINDSUBTYPE": None}, "photo", "still"),
    ],
)
def test_kinds(library: Library, columns: dict[str, Any], kind: str, subtype: str) -> None:
    library.photo(**columns)

    (photo,) = read(library)

    assert (photo.kind, photo.subtype) == (kind, subtype)


@pytest.mark.parametrize("number", [20, 26, 34])
@pytest.mark.parametrize("old", [False, True])
def test_joins_are_found_by_their_pattern(tmp_path: Path, number: int, old: bool) -> None:
    library = Library(tmp_path / "library", number=number, old=old)
    library.add("ZPERSON", ZDISPLAYNAME="Ada")
    one = library.photo({})
    library.photo({})
    library.album("Lake", one)
    library.keyword("sea", one)
    library.face(one, 1)
    library.db.execute("CREATE TABLE Z_19ALBUMLISTS (Z_19ALBUMS, Z_3ALBUMLISTS)")
    library.db.execute("CREATE TABLE Z_5ASSETS (Z_5MEMORIES, Z_3ASSETS)")
    library.db.execute("CREATE TABLE Z_4ASSETS (Z_4ALBUMS, Z_3ASSETS)")
    library.db.close()

    first, second = read(library)

    assert (first.albums, first.keywords, first.people) == (["Lake"], ["sea"], ["Ada"])
    assert (second.albums, second.keywords, second.people) == ([], [], [])


def test_heads(library: Library) -> None:
    one, two = library.photo(), library.photo()
    folder = library.album("Trips", ZKIND=4000)
    library.album("Lake", one, two, ZUUID="A2", ZPARENTFOLDER=folder)
    library.album("gone", one, ZTRASHEDSTATE=1)
    library.album("progress-sync", one, ZKIND=3571)
    library.album(None, ZKIND=3999)
    library.add("ZPERSON", ZFULLNAME="Ada")
    library.add("ZPERSON", ZFULLNAME="Ada L", ZMERGETARGETPERSON=1)
    library.add("ZPERSON", ZFULLNAME=None)
    for photo, person in ((one, 1), (two, 2), (two, 3), (two, 99)):
        library.face(photo, person)
    library.face(one, 3, ZISINTRASH=1)

    with Source(library.path) as source:
        heads = Photos(source).heads

    assert heads["albums"] == [
        Album(1, None, "Trips", "folder", None, False, 0),
        Album(2, "A2", "Lake", "album", 1, False, 2),
        Album(3, None, "gone", "album", None, True, 1),
    ]
    assert heads["people"] == [PhotoPerson(1, "Ada", 2), PhotoPerson(3, None, 1)]
    assert [photo.people for photo in read(library)] == [["Ada"], ["Ada"]]
    assert [photo.albums for photo in read(library)] == [["Lake"], ["Lake"]]


def test_people_merged_in_a_circle_end(library: Library) -> None:
    library.add("ZPERSON", ZFULLNAME="Ada", ZMERGETARGETPERSON=2)
    library.add("ZPERSON", ZFULLNAME="Bo", ZMERGETARGETPERSON=1)
    library.face(library.photo(), 1)

    assert len(read(library)[0].people) == 1


def test_either_side_may_name_the_attributes(library: Library) -> None:
    for named in (None, 77, 1):
        asset = library.photo(ZADDITIONALATTRIBUTES=named)
        attributes = library.add("ZADDITIONALASSETATTRIBUTES", ZASSET=asset, ZTITLE=f"T{asset}")
        library.add("ZASSETDESCRIPTION", ZASSETATTRIBUTES=attributes, ZLONGDESCRIPTION=f"C{asset}")
    library.photo()

    found = [(photo.title, photo.caption) for photo in read(library)]

    assert found == [("T1", "C1"), ("T2", "C2"), ("T3", "C3"), (None, None)]


@pytest.mark.parametrize(
    ("latitude", "longitude", "there"),
    [
        (-180.0, -180.0, False),
        (0.0, 0.0, False),
        (91.0, 0.0, False),
        (52.5, 181.0, False),
        (52.5, None, False),
        ("52.5", "13.4", False),
        (0.0, 13.25, True),
        (-90.0, 180.0, True),
    ],
)
def test_places_on_the_globe(
    library: Library, latitude: object, longitude: object, there: bool
) -> None:
    library.photo(ZLATITUDE=latitude, ZLONGITUDE=longitude)

    (photo,) = read(library)

    assert (photo.latitude, photo.longitude) == ((latitude, longitude) if there else (None, None))


def test_a_photo_of_before_2001_has_its_time(library: Library) -> None:
    library.photo(ZDATECREATED=-978307200.0 + 86400)

    assert read(library)[0].taken_at == datetime(1970, 1, 2, tzinfo=UTC)


def test_ios_6_has_identifiers_as_bytes(library: Library) -> None:
    library.photo(ZUUID=bytes(range(16)))
    library.photo(ZUUID=b"short")

    assert [photo.uuid for photo in read(library)] == [
        "00010203-0405-0607-0809-0A0B0C0D0E0F",
        "asset-2",
    ]


def test_files_are_looked_for_where_backups_keep_them(library: Library, tmp_path: Path) -> None:
    library.photo()
    library.photo(ZDIRECTORY="PhotoData/CPLAssets/group1")
    library.photo(ZFILENAME=None)
    name = file_id(DOMAIN, FILE + ".HEIC")
    (tmp_path / name[:2]).mkdir()
    (tmp_path / name[:2] / name).touch()

    here, away, nameless = read(library, folder=tmp_path)

    assert (here.file_id, here.file_present) == (name, True)
    assert (away.file_id, away.file_present) == (
        file_id(DOMAIN, "Media/PhotoData/CPLAssets/group1/IMG_0001.HEIC"),
        False,
    )
    assert (nameless.file_id, nameless.file_present) == (None, False)


def test_the_address_of_a_place_goes_from_narrow_to_wide() -> None:
    blob = place("Pier 1", street="Main St", city="Berlin", state="Berlin", country="Germany")

    assert read_place(blob) == "Pier 1, Main St, Berlin, Germany"


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (["$null", {"NS.keys": [plistlib.UID(2)], "NS.objects": [plistlib.UID(3)]}, "city", "Lisbon"],
         "Lisbon"),
        (["$null", {"_city": plistlib.UID(99)}], None),
        (["$null", {"_city": {"NS.string": "Lis\0bon"}, "_country": 7}], "Lisbon"),
        (["$null"], None),
        ("none", None),
    ],
)  # fmt: skip
def test_archives_of_other_shapes(objects: object, words: str | None) -> None:
    blob = plistlib.dumps({"$objects": objects}, fmt=plistlib.FMT_BINARY)

    assert read_place(blob) == words


@given(st.binary(max_size=200) | st.text() | st.none())
def test_any_bytes_are_a_place_or_none(noise: Any) -> None:
    assert read_place(noise) is None
    if isinstance(noise, bytes):
        read_place(b"bplist00" + noise)


def test_a_tower_of_lists_is_no_place() -> None:
    tower: Any = "Lisbon"
    for _ in range(300):
        tower = [tower]

    assert read_place(plistlib.dumps({"$objects": [tower]}, fmt=plistlib.FMT_BINARY)) is None


def test_another_database_is_refused(tmp_path: Path) -> None:
    other = Tables(tmp_path / "other", {"message": "text"})
    other.db.close()

    with Source(other.path) as source, pytest.raises(UnsupportedSchema, match="Photos"):
        Photos(source)


def read(library: Library, folder: Path | None = None) -> list[Photo]:
    with Source(library.path) as source:
        return [one for batch in Photos(source, folder).batches() for one in batch.records]
