"""Migrations: bringing a database to the newest schema, and saying when it is not there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from app.core.db import Database

_SCRIPTS = Path(__file__).parent.parent / "migrations"


def alembic_config(url: str) -> Config:
    """Alembic's configuration for the database at `url`."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["url"] = url
    return config


async def upgrade(db: Database) -> None:
    """Apply every migration that is missing. Safe to call from several processes at once."""
    config = alembic_config("")

    def apply(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    async with db.engine.connect() as connection:
        await connection.run_sync(apply)
        await connection.commit()


async def pending(db: Database) -> str | None:
    """None when the schema is the newest; else a sentence that says what is missing."""
    head = ScriptDirectory(str(_SCRIPTS)).get_current_head()

    def current(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    async with db.engine.connect() as connection:
        found = await connection.run_sync(current)
    if found == head:
        return None
    return "no migration has been applied" if found is None else f"at {found}, newest is {head}"
