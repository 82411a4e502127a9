"""The values of cards: numbers, addresses, accounts and the rest, of which a card has any number.

Reads `ABMultiValue`: record_id, property, label, value. `ABMultiValueLabel`: value.
`ABMultiValueEntry`: parent_id, key, value. `ABMultiValueEntryKey`: value. Labels and keys have no
number of their own: others name them by rowid.

Source: docs/formats.md, Contacts.
"""

from datetime import datetime
from typing import NamedTuple

from app.backups.parsers.apple_time import from_apple
from app.backups.parsers.artifact import all_rows
from app.backups.parsers.cells import line_of, text_of
from app.backups.parsers.contact_records import Address, Labelled, Profile
from app.backups.parsers.source import Source, Table

_VALUES = Table("ABMultiValue", ("record_id", "property", "label", "value"))
_LABELS = Table("ABMultiValueLabel", ("value",))
_ENTRIES = Table("ABMultiValueEntry", ("parent_id", "key", "value"))
_KEYS = Table("ABMultiValueEntryKey", ("value",))

_PHONE, _EMAIL, _ADDRESS, _DATE, _MESSENGER, _URL, _RELATED, _SOCIAL = 3, 4, 5, 12, 13, 22, 23, 46
_APPLES = ("_$!<", ">!$_")  # around a label that the phone translates
_NO_YEAR = 1604  # the year Apple writes for a birthday without one
_ADDRESS_KEYS = ("street", "city", "state", "zip", "country", "countrycode")
_PROFILE_KEYS = ("service", "username", "url")


class CardValues(NamedTuple):
    """What one card has."""

    phones: list[Labelled]
    emails: list[Labelled]
    addresses: list[Address]
    urls: list[Labelled]
    social: list[Profile]
    related: list[Labelled]
    dates: list[Labelled]


class Values:
    """The values of all cards, held in memory: some thousand in a big address book."""

    def __init__(self, source: Source) -> None:
        labels = {row[0]: clean_label(row[1]) for row in all_rows(source, _LABELS)}
        parts = _parts(source)
        self._of: dict[int, CardValues] = {}
        for uid, owner, kind, label, value in all_rows(source, _VALUES):
            if type(owner) is int:
                said = labels.get(label) if type(label) is int else None
                card = self._of.setdefault(owner, _nothing())
                _add(card, kind, said, text_of(value), parts.get(uid, {}))

    def of(self, card: int) -> CardValues:
        """The values of a card, in the order in which they were stored."""
        return self._of.get(card) or _nothing()


def clean_label(label: object) -> str | None:
    """A label as people see it: "Mobile" for `_$!<Mobile>!$_`, anything else verbatim."""
    text = line_of(label)
    if text and text.startswith(_APPLES[0]) and text.endswith(_APPLES[1]):
        return text[len(_APPLES[0]) : -len(_APPLES[1])] or None
    return text


def date_of(value: object) -> str | None:
    """A day as ISO 8601, from the number of seconds that is stored as text (noon, UTC).

    Returns:
        "1985-03-09"; "--03-09" where the year is not known; None for what is no date.
    """
    try:
        at = from_apple(float(value)) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        return None
    return None if at is None else _day(at)


def _day(at: datetime) -> str:
    return at.strftime("--%m-%d") if at.year <= _NO_YEAR else at.date().isoformat()


def _parts(source: Source) -> dict[int, dict[str, str]]:
    """For each structured value its parts, by lower-case name."""
    keys = {row[0]: line_of(row[1]) for row in all_rows(source, _KEYS)}
    found: dict[int, dict[str, str]] = {}
    for _, parent, key, value in all_rows(source, _ENTRIES):
        name = keys.get(key) if type(key) is int else None
        part = text_of(value)
        if name and part and type(parent) is int:
            found.setdefault(parent, {})[name.lower()] = part
    return found


def _nothing() -> CardValues:
    return CardValues([], [], [], [], [], [], [])


def _add(
    card: CardValues, kind: object, label: str | None, value: str | None, parts: dict[str, str]
) -> None:
    plain = {_PHONE: card.phones, _EMAIL: card.emails, _URL: card.urls, _RELATED: card.related}
    if kind in plain and value:
        plain[kind].append(Labelled(label, value))
    elif kind == _DATE and value:
        card.dates.append(Labelled(label, date_of(value) or value))
    elif kind == _ADDRESS and (parts or value):
        street, *rest = map(parts.get, _ADDRESS_KEYS)
        card.addresses.append(Address(label, street or value, *rest))
    elif kind in (_SOCIAL, _MESSENGER) and (parts or value):
        service, username, url = map(parts.get, _PROFILE_KEYS)
        name = username or parts.get("displayname") or parts.get("identifier") or value
        card.social.append(
            Profile("social" if kind == _SOCIAL else "im", label, service, name, url)
        )
