"""Contacts (`AddressBook.sqlitedb`): every card with its values, groups and linked cards.

Reads `ABPerson`: First, Last, Middle, Prefix, Suffix, Nickname, Organization, Department, JobTitle,
Note, Birthday, Kind, CreationDate, ModificationDate, StoreID, PersonLink, guid,
CompositeNameFallback, DisplayName. `ABStore`: Name. `ABGroup`: Name, StoreID. `ABGroupMembers`:
group_id, member_type, member_id. The values of cards: see `contact_values`. Of
`AddressBookImages.sqlitedb`: `ABThumbnailImage` and `ABFullSizeImage`: record_id.

Source: docs/formats.md, Contacts.
"""

from typing import Any

from app.backups.parsers.artifact import Artifact, all_rows
from app.backups.parsers.cells import int_of, line_of, text_of, time_of
from app.backups.parsers.contact_records import Contact, ContactGroup
from app.backups.parsers.contact_values import Values, date_of
from app.backups.parsers.source import Row, Source, Table

_STORES = Table("ABStore", ("Name",))
_GROUPS = Table("ABGroup", ("Name", "StoreID"))
_MEMBERS = Table("ABGroupMembers", ("group_id", "member_type", "member_id"))
_LINKS = Table("ABPerson", ("PersonLink",))
_PICTURES = (Table("ABThumbnailImage", ("record_id",)), Table("ABFullSizeImage", ("record_id",)))
_PERSON = 0  # ABGroupMembers.member_type; 1 is a group within a group
_COMPANY = 1  # ABPerson.Kind
_STORE_ZERO = -1  # the local store has rowid 0


class Contacts(Artifact[Contact]):
    """The cards of one address book. See `Artifact`.

    `counts`: contacts, phones, emails, addresses, companies, linked, with_image.
    """

    table = Table(
        "ABPerson",
        (
            "First",
            "Last",
            "Middle",
            "Prefix",
            "Suffix",
            "Nickname",
            "Organization",
            "Department",
            "JobTitle",
            "Note",
            "Birthday",
            "Kind",
            "CreationDate",
            "ModificationDate",
            "StoreID",
            "PersonLink",
            "guid",
            "CompositeNameFallback",
            "DisplayName",
        ),
    )

    def __init__(self, source: Source, pictured: frozenset[int] = frozenset()) -> None:
        """Read everything but the cards themselves.

        Args:
            source: the opened address book.
            pictured: the cards that have a picture, see `read_pictured`.

        Raises:
            UnsupportedSchema: this is no address book of a kind we know.
            Corrupt: the schema is unreadable, or reading takes far too long.
        """
        source.require("ABPerson", ("First", "Last"))
        super().__init__(source)
        self._pictured = pictured
        self._values = Values(source)
        self._stores = {row[0]: line_of(row[1]) for row in all_rows(source, _STORES, after=-1)}
        self._groups = {
            rowid: ContactGroup(rowid, line_of(name), self._stores.get(store))
            for rowid, name, store in all_rows(source, _GROUPS)
        }
        self._groups_of = self._memberships()
        self._linked = self._links()

    @property
    def heads(self) -> dict[str, list[Any]]:
        """`groups`: all groups, in rowid order."""
        return {"groups": list(self._groups.values())}

    def _memberships(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for _, group, kind, member in all_rows(self._source, _MEMBERS):
            name = self._groups[group].name if group in self._groups else None
            if name and kind in (_PERSON, None) and type(member) is int:
                found.setdefault(member, []).append(name)
        return found

    def _links(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for rowid, link in all_rows(self._source, _LINKS):
            if type(link) is int and link >= 0:
                found.setdefault(link, []).append(rowid)
        return found

    def _records(self, rows: list[Row]) -> list[Contact]:
        return [self._contact(row) for row in rows]

    def _contact(self, row: Row) -> Contact:
        rowid, *names, note, birthday, kind, created, modified, store, link, guid = row[:-2]
        first, last, middle, prefix, suffix, nickname, company, department, job = map(
            line_of, names
        )
        values = self._values.of(rowid)
        is_company = kind == _COMPANY
        shown = " ".join(one for one in (prefix, first, middle, last, suffix) if one)
        by_value = [one.value for one in (*values.emails, *values.phones)]
        choices = (shown, nickname, company, *map(line_of, row[-2:]), *by_value)
        linked = self._linked.get(link, []) if int_of(link) is not None else []
        return Contact(
            rowid,
            text_of(guid) or f"contact-{rowid}",
            next(filter(None, (company, *choices) if is_company else choices), None),
            first,
            last,
            middle,
            prefix,
            suffix,
            nickname,
            company,
            department,
            job,
            is_company,
            date_of(birthday),
            text_of(note),
            values.phones,
            values.emails,
            values.addresses,
            values.urls,
            values.social,
            values.related,
            values.dates,
            self._groups_of.get(rowid, []),
            self._stores.get(store) if int_of(store) is not None else None,
            [other for other in linked if other != rowid],
            rowid in self._pictured,
            time_of(created),
            time_of(modified),
        )

    def _tally(self, records: list[Contact]) -> None:
        self.counts["contacts"] += len(records)
        for one in records:
            self.counts["phones"] += len(one.phones)
            self.counts["emails"] += len(one.emails)
            self.counts["addresses"] += len(one.addresses)
            self.counts["companies"] += one.is_company
            self.counts["linked"] += bool(one.linked_ids)
            self.counts["with_image"] += one.has_image


def read_pictured(images: Source) -> frozenset[int]:
    """The rowids of the cards that have a picture in `AddressBookImages.sqlitedb`.

    Raises:
        SourceError: the database cannot be read.
    """
    owners = (row[1] for table in _PICTURES for row in all_rows(images, table))
    return frozenset(owner for owner in owners if type(owner) is int)
