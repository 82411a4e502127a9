"""Generations: how the rows of a backup are replaced under the eyes of readers.

A run writes the next generation in ordinary steps, which no reader sees; `flip` makes it the live
one in one short transaction; what is dead then is removed in batches. A run that fails leaves the
live generation as it was.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, delete, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.backups.items.base import Table
from app.backups.models import ArtifactSearchIndex, BackupArtifact
from app.core.db import Base, on_sqlite
from app.core.errors import Conflict

# Rows deleted per transaction: on SQLite it holds the one writer's lock, on PostgreSQL it is the
# time until a cancel is heard.
_BATCH_SQLITE, _BATCH_POSTGRESQL = 1_000, 10_000

_Pointer = BackupArtifact


Tables = Iterable[Table]


class Pointer(NamedTuple):
    """What a backup's pointer for one domain says."""

    live: int | None
    newest: int  # the generation begun last
    fingerprint: str | None
    counts: dict[str, int]
    warnings: list[dict[str, Any]]


_NOTHING = Pointer(None, 0, None, {}, [])


def live(backup_id: UUID, domain: str) -> ScalarSelect[int | None]:
    """The live generation, as an expression: every query of readers compares with it.

    Rows and pointer are then read in one statement, so from one snapshot: a reader never sees
    half a generation, whatever is flipped or removed meanwhile.
    """
    chosen = select(_Pointer.live_generation).where(*_key(backup_id, domain))
    return chosen.scalar_subquery()


async def pointers(
    session: AsyncSession, backup_id: UUID, domains: Iterable[str]
) -> dict[str, Pointer]:
    """The pointers as they stand; one with nothing live where none was ever begun."""
    columns = (
        _Pointer.live_generation,
        _Pointer.next_generation,
        _Pointer.fingerprint,
        _Pointer.counts,
        _Pointer.warnings,
    )
    statement = select(_Pointer.domain, *columns).where(_Pointer.backup_id == backup_id)
    found = {row[0]: Pointer(*row[1:]) for row in await session.execute(statement)}
    return {domain: found.get(domain, _NOTHING) for domain in domains}


async def begin(session: AsyncSession, backup_id: UUID, domain: str) -> int:
    """Begin a generation that no earlier run has written to; its number."""
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    key = {"backup_id": backup_id, "domain": domain}
    statement = (
        dialect.insert(_Pointer)
        .values(**key, next_generation=1, counts={}, warnings=[])
        .on_conflict_do_update(
            index_elements=list(key), set_={"next_generation": _Pointer.next_generation + 1}
        )
        .returning(_Pointer.next_generation)
    )
    number: int = (await session.execute(statement)).scalar_one()
    return number


async def flip(
    session: AsyncSession,
    backup_id: UUID,
    domain: str,
    generation: int,
    *,
    fingerprint: str | None,
    counts: dict[str, int],
    warnings: list[dict[str, Any]],
) -> None:
    """Make a whole generation the live one.

    Raises:
        Conflict: a newer one was begun meanwhile, so this one may have holes.
    """
    statement = (
        update(_Pointer)
        .where(*_key(backup_id, domain), _Pointer.next_generation == generation)
        .values(
            live_generation=generation, fingerprint=fingerprint, counts=counts, warnings=warnings
        )
        .returning(_Pointer.live_generation)
    )
    if (await session.execute(statement)).one_or_none() is None:
        raise Conflict("The backup is being indexed by a newer job.", code="superseded")


async def remove_dead(
    session: AsyncSession, backup_id: UUID, domain: str | None, alive: int | None, tables: Tables
) -> int:
    """Delete one batch of rows of `tables`, and of the search index, that are dead.

    Must be called by the job that holds the backup's lane: nobody else is writing then.

    Args:
        session: an open transaction.
        backup_id: whose rows.
        domain: whose rows of the search index; None: everybody's.
        alive: the generation that stays; None: none does.
        tables: of the domain.

    Returns:
        How many were deleted; 0 when nothing dead is left.
    """
    left = size = _BATCH_SQLITE if on_sqlite(session) else _BATCH_POSTGRESQL
    index = ArtifactSearchIndex
    of_domain = () if domain is None else (index.domain == domain,)
    for table, *mine in ((index, *of_domain), *((table,) for table in tables)):
        for dead in _dead(table, alive):
            conditions = (table.backup_id == backup_id, *mine, *dead)
            left -= await _delete(session, table, left, *conditions)
            if left <= 0:
                return size
    return size - left


def _dead(table: Any, alive: int | None) -> list[tuple[ColumnElement[bool], ...]]:
    """Ranges rather than `<>`, which would walk over all that is alive."""
    if alive is None:
        return [()]
    return [(table.generation < alive,), (table.generation > alive,)]


async def _delete(
    session: AsyncSession, table: type[Base], limit: int, *conditions: ColumnElement[bool]
) -> int:
    key = tuple_(*table.__table__.primary_key.columns)  # type: ignore[attr-defined]
    chosen = select(*table.__table__.primary_key.columns).where(*conditions).limit(limit)  # type: ignore[attr-defined]
    statement = delete(table).where(key.in_(chosen))
    result: Any = await session.execute(statement, execution_options={"synchronize_session": False})
    return int(result.rowcount)


def _key(backup_id: UUID, domain: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _Pointer.backup_id == backup_id, _Pointer.domain == domain
