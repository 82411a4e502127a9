"""Who is behind an address, however it is written."""

import pytest

from app.backups.people import Directory
from tests.backups.house import House, outcomes

CARDS = [
    ("Ada", ["+1 (555) 010-0001"], ["Ada@Example.com"]),
    ("Bo", ["030 901820"], []),
    ("Mum", ["+351 21 555 0199"], []),
    ("Dad", ["00351215550199"], []),
    ("Kiosk", ["5550777"], []),
    ("Other kiosk", ["+44 20 5550 777"], []),
    (None, ["+15550109999"], []),
]


@pytest.mark.parametrize(
    ("handle", "name"),
    [
        ("+15550100001", "Ada"),
        ("5550100001", "Ada"),
        ("15550100001@s.whatsapp.net", "Ada"),
        ("ada@example.COM", "Ada"),
        ("+4930901820", "Bo"),
        ("+351215550199", "Dad / Mum"),
        ("+15550109999", None),
        ("+25550100001", None),  # another country's
        ("urn:biz:123", None),
        ("12345-678@g.us", None),
        ("0777", None),
        ("", None),
        (None, None),
    ],
)
def test_handles_are_resolved(handle: str | None, name: str | None) -> None:
    assert Directory(CARDS).name(handle) == name


def test_a_number_that_several_end_alike_is_nobodys() -> None:
    directory = Directory([("One", ["+1 555 010 0001"], []), ("Two", ["+44 555 010 0001"], [])])

    assert directory.name("5550100001") is None


def test_the_digest_tells_who_is_called_what() -> None:
    one, two = Directory(CARDS), Directory(reversed(CARDS))

    assert one.digest == two.digest
    assert one.digest != Directory(CARDS[1:]).digest


async def test_a_renamed_friend_is_read_again_where_names_stand_and_nowhere_else(
    house: House,
) -> None:
    folder = house.put()
    backup_id = await house.register(folder)
    await house.index(backup_id)
    house.execute(folder, "contacts", "UPDATE ABPerson SET Last = 'King' WHERE First = 'Ada'")

    row = await house.index(backup_id)

    expected = outcomes("unchanged", contacts="indexed", messages="indexed", whatsapp="indexed")
    assert row.result["domains"] == expected
    names = await house.names(backup_id)
    assert "Ada King" in names
    assert "Ada Lovelace" not in names


async def test_contacts_that_name_everybody_alike_cost_nobody_else_anything(house: House) -> None:
    folder = house.put()
    backup_id = await house.register(folder)
    await house.index(backup_id)
    house.execute(folder, "contacts", "UPDATE ABPerson SET Note = 'new' WHERE First = 'Ada'")

    row = await house.index(backup_id)

    assert row.result["domains"] == outcomes("unchanged", contacts="indexed")
