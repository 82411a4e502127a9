"""Who is behind a phone number, an e-mail address or a WhatsApp id: the backup's own contacts.

Numbers are written in many ways. Two are one when their digits are equal or, where one of them
has no country code, when the longer one ends with the shorter one's national part of at least
seven digits. An address that several cards share is all of theirs; a number that several
different ones end alike is nobody's.
"""

import hashlib
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.backups import generations
from app.backups.items.contacts import Contact

DOMAIN = "contacts"
_SHORTEST = 7  # digits of a number without its area code
_NAMED = 3  # cards that share an address
_REMEMBERED = 100_000  # handles: a phone with more is no phone

Card = tuple[str | None, Iterable[str], Iterable[str]]


class Directory:
    """The names of a backup's contacts, by their addresses.

    Attributes:
        digest: equal for directories that name everybody alike.
    """

    def __init__(self, cards: Iterable[Card] = ()) -> None:
        """Each card is a name, its phone numbers and its e-mail addresses."""
        self._mails: dict[str, set[str]] = {}
        self._numbers: dict[str, dict[str, set[str]]] = {}  # by the last digits, then whole
        self._known: dict[str, str | None] = {}
        seen = set()
        for name, phones, mails in cards:
            if not name:
                continue
            for mail in mails:
                self._mails.setdefault(mail.strip().casefold(), set()).add(name)
            for phone in phones:
                number = _number(phone)
                by_end = self._numbers.setdefault(number[-_SHORTEST:], {})
                by_end.setdefault(number, set()).add(name)
            seen.add((name, tuple(sorted(phones)), tuple(sorted(mails))))
        self.digest = hashlib.sha256(repr(sorted(seen)).encode()).hexdigest()[:16]

    def name(self, handle: str | None) -> str | None:
        """The name of who uses this number, address or `<number>@s.whatsapp.net`, or None."""
        if handle is None:
            return None
        if handle not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[handle] = self._find(handle)
        return self._known[handle]

    def _find(self, handle: str) -> str | None:
        local, at, host = handle.partition("@")
        if host in ("s.whatsapp.net", "c.us"):
            return self._find_number("+" + local.partition(":")[0])
        if at:
            return _all(self._mails.get(handle.strip().casefold(), set()))
        return self._find_number(handle)

    def _find_number(self, handle: str) -> str | None:
        number = _number(handle)
        alike = self._numbers.get(number[-_SHORTEST:])
        if not alike or len(number) < 3:
            return None
        if number in alike:
            return _all(alike[number])
        similar = [one for one in alike if _alike(one, number)]
        return _all(alike[similar[0]]) if len(similar) == 1 else None


async def directory_of(session: AsyncSession, backup_id: UUID) -> Directory:
    """The directory that the live contacts of a backup make."""
    live = generations.live(backup_id, DOMAIN)
    statement = select(Contact.display_name, Contact.phones, Contact.emails).where(
        Contact.backup_id == backup_id, Contact.generation == live
    )
    return Directory(
        (name, [value for _, value in phones], [value for _, value in mails])
        for name, phones, mails in await session.execute(statement)
    )


def _number(written: str) -> str:
    """Digits, with a plus before them where the number has its country code."""
    digits = "".join(one for one in written if one.isdigit())
    text = written.strip()
    if text.startswith("+"):
        return "+" + digits
    return "+" + digits[2:] if digits.startswith("00") and len(digits) > 9 else digits


def _alike(one: str, two: str) -> bool:
    """Whether two different ways of writing mean one number."""
    if one[0] == two[0] == "+":
        return False
    short, long = sorted((one.lstrip("+"), two.lstrip("+")), key=len)
    national = short.lstrip("0")
    return len(national) >= _SHORTEST and long.endswith(national)


def _all(names: set[str]) -> str | None:
    return " / ".join(sorted(names)[:_NAMED]) or None
