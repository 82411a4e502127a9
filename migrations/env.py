"""Alembic's way in: the models come from `app.catalogue`, the address from the settings."""

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Column, Connection, Index

import app.catalogue  # noqa: F401 -- every model is in the metadata
from app.core.columns import BigSerial, Id, LeaseEnd, UtcDateTime
from app.core.db import Base, Database
from app.settings import load_settings

config = context.config


def render_type(kind: str, obj: Any, autogen: Any) -> str | bool:
    """Write our own types by their names."""
    if kind == "type" and isinstance(obj, (Id, UtcDateTime)):
        autogen.imports.add(f"from app.core.columns import {type(obj).__name__}")
        return f"{type(obj).__name__}()"
    for name, known in (("BigSerial", BigSerial), ("LeaseEnd", LeaseEnd)):
        if obj is known:
            autogen.imports.add(f"from app.core.columns import {name}")
            return name
    if kind == "type" and type(obj).__name__ == "JSON":
        autogen.imports.add("from app.core.columns import Json")
        return "Json"
    return False


_FTS5 = ("artifact_search_fts", "chunk_words", "chunk_pieces", "note_words")


def comparable_on_sqlite(_thing: Any, name: str | None, kind: str, *_rest: Any) -> bool:
    """SQLite tells nothing of DESC and expressions in an index, so those are not compared.

    Nor are FTS5's own tables, which no model describes.
    """
    if kind == "table":
        return not (name or "").startswith(_FTS5)
    if kind != "index":
        return True
    ours: dict[Any, Index] = {
        index.name: index for table in Base.metadata.tables.values() for index in table.indexes
    }
    if name not in ours:
        return True
    elsewhere = ours[name].dialect_options["postgresql"]["using"]  # only PostgreSQL has those
    return not elsewhere and all(isinstance(part, Column) for part in ours[name].expressions)


def run(connection: Connection) -> None:
    """Run the migrations on an open connection; on PostgreSQL one process at a time."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7232746)")
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=sqlite,
        include_object=comparable_on_sqlite if sqlite else None,
        render_item=render_type,
        compare_type=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    """Open the database that the environment names and run the migrations."""
    url = config.attributes.get("url") or load_settings().database_url
    db = Database(url)
    async with db.engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await db.close()


if config.attributes.get("connection") is not None:
    run(config.attributes["connection"])
else:
    asyncio.run(main())
