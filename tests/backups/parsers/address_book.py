"""An address book for tests: the tables of iOS 15 and one person with everything."""

from pathlib import Path

from tests.backups.parsers.tables import Tables

PERSON = (
    "First, Last, Middle, Prefix, Suffix, Nickname, Organization, Department, JobTitle, Note,"
    " Birthday, Kind, CreationDate, ModificationDate, StoreID, PersonLink, guid,"
    " CompositeNameFallback, DisplayName"
)
TABLES = {
    "ABPerson": PERSON,
    "ABStore": "Name",
    "ABGroup": "Name, StoreID",
    "ABGroupMembers": "group_id, member_type, member_id",
    "ABMultiValue": "record_id, property, label, value",
    "ABMultiValueLabel": "value",
    "ABMultiValueEntry": "parent_id, key, value",
    "ABMultiValueEntryKey": "value",
}
PHONE, EMAIL, ADDRESS, DATE, MESSENGER, URL, RELATED, SOCIAL = 3, 4, 5, 12, 13, 22, 23, 46
_PARTS = ("Street", "ZIP", "City", "State", "Country", "CountryCode", "service", "username", "url")


class AddressBook(Tables):
    """Labels and keys are made as they are needed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, TABLES)
        for key in _PARTS:
            self.add("ABMultiValueEntryKey", value=key)

    def person(self, **columns: object) -> int:
        return self.add("ABPerson", **columns)

    def value(
        self, person: int, kind: int, value: str | None, label: str | None = None, **parts: str
    ) -> int:
        known = None if label is None else self.add("ABMultiValueLabel", value=label)
        uid = self.add("ABMultiValue", record_id=person, property=kind, label=known, value=value)
        for name, part in parts.items():
            key = 1 + [one.lower() for one in _PARTS].index(name)
            self.add("ABMultiValueEntry", parent_id=uid, key=key, value=part)
        return uid

    def fill(self, people: int = 1) -> "AddressBook":
        """People with something of everything."""
        self.add("ABStore", Name="Card")
        self.add("ABGroup", Name="Family", StoreID=1)
        for number in range(people):
            one = self.person(
                First="Ada", Last="Lovelace", Kind=0, StoreID=1, PersonLink=number // 2,
                Birthday="-500000000", CreationDate=7e8, guid=f"G{number}", Note="n" * 100,
            )  # fmt: skip
            self.value(one, PHONE, "+1 555 0100", "_$!<Mobile>!$_")
            self.value(one, EMAIL, "ada@example.com")
            self.value(one, ADDRESS, None, "_$!<Home>!$_", street="1 Main St", city="Lake")
            self.value(one, DATE, "700000000")
            self.value(one, SOCIAL, None, service="Mastodon", username="ada")
            self.add("ABGroupMembers", group_id=1, member_type=0, member_id=one)
        return self
