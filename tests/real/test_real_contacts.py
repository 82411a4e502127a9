"""Address books that nobody here wrote: ../shared/data/ios beside the repository, if it is there."""

import json
from typing import Any

import pytest

from app.backups.parsers.apple_time import EPOCH
from app.backups.parsers.contact_records import Contact
from app.backups.reading_artifacts import read_contacts
from tests.real.phones import EXPECTED, IOS, contents, fixture

BOOKS = ("belkasoft_ctf6_ios_device1", "josh_ios15_ffs")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not IOS.is_dir(), reason=f"no real data at {IOS}"),
]


@pytest.mark.parametrize("phone", BOOKS)
def test_cards_are_what_is_known_of_them(phone: str) -> None:
    truth = json.loads((IOS / "GROUND_TRUTH.json").read_bytes())["contacts"]
    known = truth[f"iLEAPP/addressBook.addressBook.{phone}"]

    cards = read(phone)

    assert [one.id for one in cards] == [one["id"] for one in known]
    for card, expected in zip(cards, known, strict=True):
        assert (card.first_name, card.last_name) == (expected["First"], expected["Last"])
        assert (card.organization, card.is_company) == (
            expected["Organization"],
            expected["Kind"] == 1,
        )
        assert card.created_at is not None
        assert (card.created_at - EPOCH).total_seconds() == expected["created_mac"]
        values = [(3, one) for one in card.phones] + [(4, one) for one in card.emails]
        values += [(22, one) for one in card.urls]
        assert [(kind, one.value) for kind, one in values] == [
            (one["property"], one["value"]) for one in expected["values"] if one["value"]
        ]


@pytest.mark.parametrize("phone", BOOKS)
def test_cards_equal_those_of_ileapp(phone: str) -> None:
    (path,) = EXPECTED.glob(f"addressBook.addressBook.{phone}.*.json")
    report = json.loads(path.read_bytes())

    cards = read(phone)

    assert len(cards) == len(report["data"])
    for card, row in zip(cards, report["data"], strict=True):
        expected = dict(zip(report["headers"], row, strict=True))
        for header, ours in as_ileapp(card).items():
            assert expected.get(header) == ours, (card.id, header)


def test_one_person_of_two_accounts_is_linked_and_pictures_are_found() -> None:
    cards = read("josh_ios15_ffs")

    assert {one.id: one.linked_ids for one in cards if one.linked_ids} == {1: [9], 9: [1]}
    assert [one.id for one in cards if one.has_image] == [3, 4]
    (address,) = cards[1].addresses
    assert (address.city, address.zip, address.country_code) == ("Cupertino", "95014", "us")


def read(phone: str) -> list[Contact]:
    """All cards; the files must be the same afterwards, and nothing new beside them."""
    book = fixture("addressBook.addressBook", phone, "AddressBook.sqlitedb")
    before = contents(book.parent)
    images = {"database": str(book.with_name("AddressBookImages.sqlitedb"))}
    _, *frames, end = read_contacts(
        {"database": str(book), "extra": {"contact_images": images}, "batch": 4}
    )
    assert end[1]["warnings"] == []
    assert contents(book.parent) == before
    return [one for frame in frames for one in frame[1]]


def as_ileapp(card: Contact) -> dict[str, Any]:
    def lines(values: Any) -> str | None:
        return "\r".join(f"{one.label or ' '}: {one.value}" for one in values) or None

    created, modified = card.created_at, card.modified_at
    assert created is not None
    assert modified is not None
    addresses = [
        f"{one.label}: {one.street} - {one.zip} - {one.city} - {one.country_code}"
        f" - {one.state} - {one.country}"
        for one in card.addresses
    ]
    return {
        "Creation Date": created.timestamp(),
        "Modification Date": modified.timestamp(),
        "First Name": card.first_name,
        "Last Name": card.last_name,
        "Company": card.organization,
        "Phone Numbers": lines(card.phones),
        "Email addresses": lines(card.emails),
        "Addresses": "\r".join(addresses) or None,
        "URL": lines(card.urls),
        "Storage Place": card.source,
    }
