import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backups.parsers.contact_records import Address, Contact, ContactGroup, Labelled, Profile
from app.backups.parsers.contact_values import clean_label, date_of
from app.backups.parsers.contacts import Contacts, read_pictured
from app.backups.parsers.errors import UnsupportedSchema
from app.backups.parsers.source import Source
from app.backups.reading_artifacts import read_contacts
from tests.backups.parsers.address_book import (
    ADDRESS,
    DATE,
    EMAIL,
    MESSENGER,
    PHONE,
    RELATED,
    SOCIAL,
    URL,
    AddressBook,
)
from tests.backups.parsers.tables import Tables


@pytest.fixture
def book(tmp_path: Path) -> Iterator[AddressBook]:
    made = AddressBook(tmp_path / "AddressBook.sqlitedb")
    yield made
    made.db.close()


def test_a_card_with_everything(book: AddressBook) -> None:
    book.add("ABStore", id=0, Name=None)
    book.add("ABStore", Name="Card")
    book.add("ABGroup", Name="Family", StoreID=1)
    ada = book.person(
        First="Ada", Last="Lovelace", Middle="King", Prefix="Dr.", Nickname="Addie", Kind=0,
        Organization="Analytical", Department="Engines", JobTitle="Poet", Note="a\nb",
        Birthday="-499348800", CreationDate=703260029, ModificationDate=703260036, StoreID=1,
        PersonLink=-1, guid="F3AE:ABPerson",
    )  # fmt: skip
    book.add("ABGroupMembers", group_id=1, member_type=0, member_id=ada)
    book.value(ada, PHONE, "(919) 888-7386", "_$!<Mobile>!$_")
    book.value(ada, PHONE, "+49 30 1234567", "Boat")
    book.value(ada, EMAIL, "ada@example.com")
    book.value(
        ada, ADDRESS, None, "_$!<Work>!$_", street="1 Main St", city="Lake", state="CA",
        zip="95014", country="United States", countrycode="us",
    )  # fmt: skip
    book.value(ada, URL, "https://example.com", "_$!<HomePage>!$_")
    book.value(ada, RELATED, "Charles", "_$!<Friend>!$_")
    book.value(ada, DATE, "-499348800", "_$!<Anniversary>!$_")
    book.value(ada, SOCIAL, None, service="Mastodon", username="ada", url="https://m.example/@ada")
    book.value(ada, MESSENGER, None, "_$!<Home>!$_", service="Jabber", username="ada@jabber")

    (card,) = read(book)

    assert card == Contact(
        1, "F3AE:ABPerson", "Dr. Ada King Lovelace", "Ada", "Lovelace", "King", "Dr.", None,
        "Addie", "Analytical", "Engines", "Poet", False, "1985-03-06", "a\nb",
        [Labelled("Mobile", "(919) 888-7386"), Labelled("Boat", "+49 30 1234567")],
        [Labelled(None, "ada@example.com")],
        [Address("Work", "1 Main St", "Lake", "CA", "95014", "United States", "us")],
        [Labelled("HomePage", "https://example.com")],
        [
            Profile("social", None, "Mastodon", "ada", "https://m.example/@ada"),
            Profile("im", "Home", "Jabber", "ada@jabber", None),
        ],
        [Labelled("Friend", "Charles")], [Labelled("Anniversary", "1985-03-06")], ["Family"],
        "Card", [], False, datetime(2023, 4, 15, 14, 0, 29, tzinfo=UTC),
        datetime(2023, 4, 15, 14, 0, 36, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ({"First": "Ada", "Last": "Lovelace"}, "Ada Lovelace"),
        ({"Last": " Lovelace "}, "Lovelace"),
        ({"First": "Tim", "Organization": "Apple", "Kind": 1}, "Apple"),
        ({"First": "Tim", "Organization": "Apple", "Kind": 0}, "Tim"),
        ({"Organization": "Apple", "Kind": 0}, "Apple"),
        ({"Nickname": "Addie", "Organization": "Apple"}, "Addie"),
        ({"DisplayName": "Somebody"}, "Somebody"),
        ({"First": b"\x00", "Last": 7}, "ada@example.com"),
    ],
)
def test_the_name_that_is_shown(book: AddressBook, columns: dict[str, object], shown: str) -> None:
    ada = book.person(**columns)
    book.value(ada, PHONE, "+1555")
    book.value(ada, EMAIL, "ada@example.com")

    assert read(book)[0].display_name == shown


def test_cards_of_one_person_know_each_other(book: AddressBook) -> None:
    for link in (-1, 0, 3, 0, None, 0):
        book.person(First="Ada", PersonLink=link)

    assert [card.linked_ids for card in read(book)] == [[], [4, 6], [], [2, 6], [], [2, 4]]


def test_a_group_within_a_group_makes_no_member(book: AddressBook) -> None:
    book.person(First="Ada")
    group = book.add("ABGroup", Name="Family", StoreID=9)
    book.add("ABGroupMembers", group_id=group, member_type=1, member_id=1)
    book.add("ABGroupMembers", group_id=99, member_type=0, member_id=1)

    with Source(book.path) as source:
        contacts = Contacts(source)
        assert contacts.heads == {"groups": [ContactGroup(1, "Family", None)]}
    assert read(book)[0].groups == []


@pytest.mark.parametrize(
    ("stored", "day"),
    [
        ("-499348800", "1985-03-06"),
        ("-499348800.0", "1985-03-06"),
        (-499348800, "1985-03-06"),
        ("-12522254400", "--03-09"),
        ("0.0", None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("9" * 400, None),
        (b"\x01", None),
        (None, None),
    ],
)
def test_birthdays(stored: object, day: str | None) -> None:
    assert date_of(stored) == day


@pytest.mark.parametrize(
    ("label", "said"),
    [("_$!<Mobile>!$_", "Mobile"), ("iPhone", "iPhone"), ("_$!<>!$_", None), ("", None), (7, None)],
)
def test_labels(label: object, said: str | None) -> None:
    assert clean_label(label) == said


@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=("Z", "C"))))
def test_every_label_of_apple_is_its_word(word: str) -> None:
    assert clean_label(f"_$!<{word}>!$_") == word


def test_pictures_are_found_in_the_other_database(book: AddressBook, tmp_path: Path) -> None:
    book.person(First="Ada")
    book.person(First="Bo")
    tables = {"ABThumbnailImage": "record_id, format, data", "ABFullSizeImage": "record_id, data"}
    images = Tables(tmp_path / "images", tables)
    for format_ in (0, 5):
        images.add("ABThumbnailImage", record_id=2, format=format_, data=b"\xff\xd8")
    images.add("ABFullSizeImage", record_id="2", data=b"")
    images.db.close()

    extra = {"contact_images": {"database": str(images.path)}}
    _, frame, end = read_contacts({"database": str(book.path), "extra": extra})

    assert [card.has_image for card in frame[1]] == [False, True]
    assert end == ("end", {"warnings": [], "counts": end[1]["counts"]})
    assert end[1]["counts"]["with_image"] == 1


def test_a_database_of_pictures_that_is_none_is_a_warning(
    book: AddressBook, tmp_path: Path
) -> None:
    book.person(First="Ada")
    (tmp_path / "images").write_bytes(b"not a database")

    extra = {"contact_images": {"database": str(tmp_path / "images")}}
    _, frame, end = read_contacts({"database": str(book.path), "extra": extra})

    assert [card.display_name for card in frame[1]] == ["Ada"]
    (warning,) = end[1]["warnings"]
    assert warning["code"] == "damaged"
    assert "contact_images" in warning["detail"]


def test_pictures_of_a_table_with_another_shape_are_nobodys(tmp_path: Path) -> None:
    images = Tables(tmp_path / "images", {"ABThumbnailImage": "owner"})
    images.db.close()

    with Source(images.path) as source:
        assert read_pictured(source) == frozenset()


def test_another_database_is_refused(tmp_path: Path) -> None:
    other = Tables(tmp_path / "other", {"message": "text"})
    other.db.close()

    with Source(other.path) as source, pytest.raises(UnsupportedSchema, match="ABPerson"):
        Contacts(source)


def test_a_view_in_place_of_the_values_is_refused(book: AddressBook) -> None:
    book.db.execute("DROP TABLE ABMultiValue")
    book.db.execute("CREATE VIEW ABMultiValue AS SELECT 1 AS record_id")

    with pytest.raises(UnsupportedSchema):
        read(book)


def test_the_oldest_book_has_names_only(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "book") as db:
        db.execute("CREATE TABLE ABPerson (First TEXT, Last TEXT)")
        db.execute("INSERT INTO ABPerson VALUES ('Ada', NULL)")
    db.close()

    with Source(tmp_path / "book") as source:
        ((card,),) = (batch.records for batch in Contacts(source).batches())

    assert (card.display_name, card.guid, card.linked_ids) == ("Ada", "contact-1", [])


def read(book: AddressBook) -> list[Contact]:
    with Source(book.path) as source:
        return [one for batch in Contacts(source).batches() for one in batch.records]
