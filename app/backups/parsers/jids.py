"""WhatsApp's addresses ("JIDs") and the names and numbers behind them.

`<phone>@s.whatsapp.net` is a person, `<n>@lid` the same person without the number, `<id>@g.us` a
group, `<id>@newsletter` a channel, `status@broadcast` everybody's status.

Reads `ZWAADDRESSBOOKCONTACT` of ContactsV2.sqlite: ZWHATSAPPID, ZFULLNAME, ZLID.
`ZWAPHONENUMBERLIDPAIR` of LID.sqlite: ZLID, ZPHONENUMBER. Of ChatStorage.sqlite
`ZWAPROFILEPUSHNAME`: ZJID, ZPUSHNAME.

Source: docs/formats.md, WhatsApp.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from app.backups.parsers.artifact import all_rows
from app.backups.parsers.cells import line_of
from app.backups.parsers.source import Source, Table
from app.backups.parsers.whatsapp_records import Person

LID, PHONE = "@lid", "@s.whatsapp.net"
_CONTACTS = Table("ZWAADDRESSBOOKCONTACT", ("ZWHATSAPPID", "ZFULLNAME", "ZLID"))
_PAIRS = Table("ZWAPHONENUMBERLIDPAIR", ("ZLID", "ZPHONENUMBER"))
_PUSH_NAMES = Table("ZWAPROFILEPUSHNAME", ("ZJID", "ZPUSHNAME"))
_SERVERS = r"s\.whatsapp\.net|lid|g\.us|c\.us|broadcast|newsletter|bot|hosted|hosted\.lid"
_JID = re.compile(rf"[^\s@,]{{1,100}}@(?:{_SERVERS})")
_PEOPLE = (PHONE, LID, "@c.us", "@bot", "@hosted", "@hosted.lid")
_DIRECTION = dict.fromkeys((0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
_NUMBER = re.compile(r"[+\d\s().\-\u00a0]+")


class Known(NamedTuple):
    """What the databases beside the chats know: names and phone JIDs, by JID."""

    names: dict[str, str]
    phones: dict[str, str]


def jid_of(value: object) -> str | None:
    """An address without the number of the device, or None for what is none."""
    text = line_of(value)
    if text is None or not _JID.fullmatch(text):
        return None
    user, at, server = text.partition("@")
    return user.partition(":")[0] + at + server


def is_person(jid: str) -> bool:
    """Whether an address is somebody's, and not a group's or a channel's."""
    return jid.endswith(_PEOPLE)


def phone_of(jid: str) -> str | None:
    """The phone number in an address, with its "+"; None where there is none."""
    user, _, server = jid.partition("@")
    return f"+{user}" if server in {"s.whatsapp.net", "c.us"} and user.isdecimal() else None


def title_of(value: object) -> str | None:
    """Words as people see them: without marks of writing direction."""
    return line_of(value.translate(_DIRECTION)) if isinstance(value, str) else None


def name_of(value: object) -> str | None:
    """A name; None for a mere number, which names nobody."""
    text = title_of(value)
    return None if text is None or _NUMBER.fullmatch(text) else text


def read_contacts(source: Source) -> Known:
    """Names and LIDs from ContactsV2.sqlite.

    Raises:
        SourceError: the database cannot be read.
    """
    known = Known({}, {})
    for _, jid, name, lid in all_rows(source, _CONTACTS):
        ours, theirs, called = jid_of(jid), jid_of(lid), name_of(name)
        for one in (ours, theirs):
            if one and called:
                known.names.setdefault(one, called)
        if ours and theirs:
            known.phones[theirs] = ours
    return known


def read_lids(source: Source) -> Known:
    """Phone JIDs by LID from LID.sqlite.

    Raises:
        SourceError: the database cannot be read.
    """
    known = Known({}, {})
    for _, lid, phone in all_rows(source, _PAIRS):
        known.phones.update(pair(_complete(lid, LID), _complete(phone, PHONE)))
    return known


def pair(one: str | None, other: str | None) -> dict[str, str]:
    """The phone JID by its LID, if the two are just these, in any order."""
    if one and other and one.endswith(PHONE):
        one, other = other, one
    return {one: other} if one and other and one.endswith(LID) and other.endswith(PHONE) else {}


class People:
    """Everybody named so far. Better names come first and stay."""

    def __init__(self, source: Source, *known: Known) -> None:
        self._names = {jid: name for one in reversed(known) for jid, name in one.names.items()}
        self._phones = {jid: phone for one in known for jid, phone in one.phones.items()}
        self._met: dict[str, None] = dict.fromkeys([*self._names, *self._phones])
        self._pushed: dict[str, str] = {}
        for _, jid, name in all_rows(source, _PUSH_NAMES):
            who, called = jid_of(jid), name_of(name)
            if who and called:
                self._met[who] = None
                self._pushed[who] = called

    def meet(self, jid: str, name: object = None) -> None:
        """Take note of an address, with a name that somebody in the address book has."""
        self._met[jid] = None
        called = name_of(name)
        if called:
            self._names.setdefault(jid, called)

    def same(self, pairs: dict[str, str]) -> None:
        """Take note of phone JIDs by LID, unless a LID is known already."""
        for lid, phone in pairs.items():
            self._phones.setdefault(lid, phone)

    def all(self, last_choice: dict[str, str]) -> list[Person]:
        """Everybody, in the order of meeting; `last_choice` are the names of least worth."""
        return [self._person(jid, last_choice) for jid in self._met if is_person(jid)]

    def _person(self, jid: str, last_choice: dict[str, str]) -> Person:
        phone = self._phones.get(jid)
        both = [one for one in (jid, phone) if one]
        pushed = (f"~{self._pushed[one]}" for one in both if one in self._pushed)
        names = [*_found(both, self._names), *pushed, *_found(both, last_choice)]
        return Person(jid, phone_of(phone or jid), names[0] if names else None)


def _found(keys: Iterable[str], names: dict[str, str]) -> list[str]:
    return [names[one] for one in keys if one in names]


def _complete(value: object, server: str) -> str | None:
    """An address that may be written without its server, or with a "+"."""
    text = line_of(value)
    return None if text is None else jid_of(text if "@" in text else text.lstrip("+") + server)
