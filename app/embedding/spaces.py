"""SQL on models and spaces, for every domain that has vectors; nobody here commits."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import now
from app.core.db import fetch, on_sqlite
from app.embedding.models import EmbeddingModel, VectorSpace
from app.embedding.port import Identity


@dataclass(frozen=True, slots=True)
class Space:
    """A space as it stands: the model that search asks, and when that last changed."""

    model_id: int | None = None  # None: nothing was ever embedded
    key: str | None = None  # `Identity.key` of that model
    dimension: int = 0
    version: int = 0


async def model_id(session: AsyncSession, identity: Identity) -> int:
    """The row of a model, made if it is new. One that was only renamed gets its new name."""
    found = await session.execute(
        select(EmbeddingModel.id, EmbeddingModel.name).where(EmbeddingModel.key == identity.key)
    )
    known = found.first()
    if known is not None:
        if known.name != identity.name:
            renamed = update(EmbeddingModel).where(EmbeddingModel.id == known.id)
            await session.execute(renamed.values(name=identity.name))
        return int(known.id)
    await _insert_if_new(
        session,
        EmbeddingModel,
        key=identity.key,
        name=identity.name,
        digest=identity.digest,
        dimension=identity.dimension,
        normalised=identity.normalised,
        created_at=now(),
    )
    made = await session.scalar(select(EmbeddingModel.id).where(EmbeddingModel.key == identity.key))
    assert made is not None
    return made


async def any_model(session: AsyncSession) -> bool:
    """Whether anything was ever embedded here."""
    return bool(await fetch(session, "SELECT 1 FROM embedding_models LIMIT 1", {}))


_SPACE = """
SELECT s.live_model_id, m.key, m.dimension, s.version FROM vector_spaces AS s
LEFT JOIN embedding_models AS m ON m.id = s.live_model_id WHERE s.name = :name
"""


async def space(session: AsyncSession, name: str) -> Space:
    """A space as it stands now."""
    rows = await fetch(session, _SPACE, {"name": name})
    return Space(rows[0][0], rows[0][1], rows[0][2] or 0, rows[0][3]) if rows else Space()


async def changed(session: AsyncSession, name: str) -> None:
    """Tell every process that caches the vectors of a space that it has to look again.

    Only SQLite's are cached; PostgreSQL searches them where they are.
    """
    if on_sqlite(session):
        await _raise_version(session, name)


async def go_live(session: AsyncSession, name: str, model: int) -> None:
    """Let search ask this model from now on, in place of any other."""
    await _insert_if_new(session, VectorSpace, name=name)
    await _raise_version(session, name, live_model_id=model)


async def first_goes_live(session: AsyncSession, name: str, model: int) -> bool:
    """Let search ask this model if there is none yet; whether it is the one now."""
    await _insert_if_new(session, VectorSpace, name=name)
    none_yet = (VectorSpace.name == name) & VectorSpace.live_model_id.is_(None)
    await session.execute(update(VectorSpace).where(none_yet).values(live_model_id=model))
    return (await space(session, name)).model_id == model


def index_name(table: str, model: int) -> str:
    """The name of the index over the vectors of one model in `table`."""
    return f"ix_{table}_model_{model}"


async def make_index(session: AsyncSession, table: str, model: int, dimension: int) -> None:
    """Give PostgreSQL an index over the vectors of one model; SQLite needs none.

    Best made while the model has no vectors yet, in the transaction that first needs it.
    """
    if on_sqlite(session) or dimension > _MOST_DIMENSIONS:
        return
    name = index_name(table, model)
    # CREATE INDEX IF NOT EXISTS waits for every writer before it looks.
    if await session.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name}):
        return
    await session.execute(
        text(
            f"CREATE INDEX IF NOT EXISTS {name} ON {table}"
            f" USING hnsw ((vector::halfvec({dimension:d})) halfvec_ip_ops)"
            f" WHERE model_id = {model:d}"
        )
    )


async def drop_index(session: AsyncSession, table: str, model: int) -> None:
    """Remove what `make_index` made."""
    if not on_sqlite(session):
        await session.execute(text(f"DROP INDEX IF EXISTS {index_name(table, model)}"))


_MOST_DIMENSIONS = 4_000  # that pgvector indexes as halfvec; beyond it every search reads all rows


async def _raise_version(session: AsyncSession, name: str, **values: Any) -> None:
    statement = update(VectorSpace).where(VectorSpace.name == name)
    await session.execute(statement.values(version=VectorSpace.version + 1, **values))


async def _insert_if_new(session: AsyncSession, table: Any, **values: Any) -> None:
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    await session.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())
