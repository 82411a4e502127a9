"""What the tables of what is indexed from a backup have in common.

A row is there for readers only through its backup's pointer (`BackupArtifact.live_generation`),
so these tables need no foreign keys: rows that no pointer leads to are dead, and are removed in
batches. `number` is the key of the source (`ROWID`, `Z_PK`), which the parser promises to give
once each. Lists are JSON arrays of arrays, in the order of the parsers' records.

Columns stand in the order in which the row makers write them (`rows`), `words` last: what
search finds an item by besides its own texts.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from app.core.columns import Id
from app.core.db import Base

Listed = Mapped[list[Any]]
MaybeListed = Mapped[list[Any] | None]
MaybeText = Mapped[str | None]
MaybeTime = Mapped[datetime | None]


def list_index(table: str, *columns: str, name: str = "list") -> Index:
    """The index that a list of one generation is paged by."""
    return Index(f"ix_{table}_{name}", "backup_id", "generation", *columns, "number")


class Item(Base):
    """Something that was indexed from a backup."""

    __abstract__ = True

    backup_id: Mapped[UUID] = mapped_column(Id, primary_key=True, sort_order=-9)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True, sort_order=-9)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, sort_order=-9)


class File(Base):
    """A file sent with a message."""

    __abstract__ = True

    backup_id: Mapped[UUID] = mapped_column(Id, primary_key=True, sort_order=-9)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True, sort_order=-9)
    message: Mapped[int] = mapped_column(BigInteger, primary_key=True, sort_order=-9)  # its number
    position: Mapped[int] = mapped_column(
        Integer, primary_key=True, sort_order=-9
    )  # in the message, from 0


Table = type[Item] | type[File]
