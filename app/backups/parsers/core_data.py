"""Join tables of Core Data stores, whose names have numbers in them that differ by version.

A many-to-many relation of, say, albums and assets is a table `Z_<n>ASSETS` with the columns
`Z_<n>ALBUMS` and `Z_<m>ASSETS`, n and m being the numbers of the two classes in that version.

Source: docs/formats.md, Notes and Photos.
"""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from app.backups.parsers.artifact import all_rows
from app.backups.parsers.source import Source, Table

_ENTITIES = Table("Z_PRIMARYKEY", ("Z_ENT", "Z_NAME"))


class Join(NamedTuple):
    """A table that joins two others, by lower-case names of its columns."""

    table: str
    owner: str
    member: str


def class_names(source: Source) -> dict[int, str]:
    """The names of the classes by their numbers; empty where the table of them is gone."""
    return {
        number: name
        for _, number, name in all_rows(source, _ENTITIES)
        if type(number) is int and isinstance(name, str)
    }


def find_join(
    source: Source, owners: str, members: str, classes: Collection[str] = ()
) -> Join | None:
    """The table that joins two relations, or None.

    Args:
        source: the store.
        owners: the name of one relation, "ALBUMS".
        members: the name of the other one, "ASSETS", after which the table is named.
        classes: of several such tables the one with the number of one of these classes counts.
    """
    numbers = {str(number) for number, name in class_names(source).items() if name in classes}
    owner = re.compile(rf"z_\d+{owners}", re.IGNORECASE)
    member = re.compile(rf"z_\d+{members}", re.IGNORECASE)
    found: list[tuple[bool, Join]] = []
    for table in source.tables(member):
        columns = sorted(source.columns(table))
        left = next(filter(owner.fullmatch, columns), None)
        right = next(filter(member.fullmatch, columns), None)
        if left and right:
            number = left.removeprefix("z_").removesuffix(owners.lower())
            found.append((number not in numbers, Join(table, left, right)))
    return min(found)[1] if found else None


def pairs(source: Source, join: Join | None) -> Iterator[tuple[int, int]]:
    """What a table joins: owner and member."""
    if join is not None:
        for _, owner, member in all_rows(source, Table(join.table, (join.owner, join.member))):
            if type(owner) is int and type(member) is int:
                yield owner, member
