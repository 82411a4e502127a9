"""What the contacts parser yields. Named tuples: fast, and arrays once they are MessagePack.

Field meanings: docs/formats.md, Contacts. None stands for whatever the source does not say.
"""

from datetime import datetime
from typing import NamedTuple


class ContactGroup(NamedTuple):
    """A group of cards."""

    id: int
    name: str | None
    source: str | None  # the account it belongs to


class Labelled(NamedTuple):
    """One of several values of a kind."""

    label: str | None  # "Mobile", or the user's own word
    value: str


class Address(NamedTuple):
    """A postal address."""

    label: str | None
    street: str | None
    city: str | None
    state: str | None
    zip: str | None
    country: str | None
    country_code: str | None


class Profile(NamedTuple):
    """An account with a social network or a messenger."""

    kind: str  # social, im
    label: str | None
    service: str | None
    username: str | None
    url: str | None


class Contact(NamedTuple):
    """One card. A person may have several, see `linked_ids`."""

    id: int  # ABPerson.ROWID
    guid: str
    display_name: str | None  # the name, else whatever the phone would show instead
    first_name: str | None
    last_name: str | None
    middle_name: str | None
    prefix: str | None
    suffix: str | None
    nickname: str | None
    organization: str | None
    department: str | None
    job_title: str | None
    is_company: bool
    birthday: str | None  # "1985-03-09", or "--03-09" where the year is not known
    note: str | None
    phones: list[Labelled]
    emails: list[Labelled]
    addresses: list[Address]
    urls: list[Labelled]
    social: list[Profile]
    related: list[Labelled]
    dates: list[Labelled]  # values as `birthday`
    groups: list[str]
    source: str | None  # the account the card is from
    linked_ids: list[int]  # the other cards of the same person
    has_image: bool
    created_at: datetime | None
    modified_at: datetime | None
