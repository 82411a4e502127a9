"""The migrations by the plain `alembic` command, on empty databases of both kinds."""

import itertools
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import app.catalogue  # noqa: F401 -- every model is in the metadata
from app.chaos.servers import Postgres
from app.core.db import Base

TOP = Path(__file__).parents[2]
_numbers = itertools.count()


class Empty:
    """A database without tables, and what alembic makes of it."""

    def __init__(self, url: str, postgres: Postgres | None, folder: Path) -> None:
        self.url = url
        self._postgres = postgres
        self._folder = folder

    @property
    def is_sqlite(self) -> bool:
        return self._postgres is None

    def alembic(self, *arguments: str) -> str:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            env=kept | {"DATABASE_URL": self.url, "DATA_DIR": str(self._folder / "data")},
            cwd=TOP,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def revision(self) -> str:
        """Where the database says that it is."""
        sql = "SELECT version_num FROM alembic_version"
        if self._postgres is not None:
            return self._postgres.psql(sql, self.url.rpartition("/")[2])
        with sqlite3.connect(self.url.removeprefix("sqlite:///")) as connection:
            return str(connection.execute(sql).fetchone()[0])

    def names(self, kind: str) -> set[str]:
        """The names of all tables, or of all indexes that somebody has named."""
        if self._postgres is None:
            with sqlite3.connect(self.url.removeprefix("sqlite:///")) as connection:
                sql = "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite_%'"
                found = {row[0] for row in connection.execute(sql, (kind,))}
                sql = "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"
                virtual = tuple(row[0] for row in connection.execute(sql))
                # FTS5 keeps its indexes in tables of its own.
                return {each for each in found if not each.startswith(virtual or "-")}
        column = f"{kind}name"
        sql = f"SELECT {column} FROM pg_{kind}es WHERE schemaname = 'public'"
        if kind == "table":
            sql = f"SELECT {column} FROM pg_tables WHERE schemaname = 'public'"
        return set(self._postgres.psql(sql, self.url.rpartition("/")[2]).split())


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Empty:
    if request.param == "sqlite":
        return Empty(f"sqlite:///{tmp_path / 'empty.db'}", None, tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    name = f"empty_{next(_numbers)}"
    server.psql(f"CREATE DATABASE {name}")
    return Empty(server.url(name), server, tmp_path)


def test_up_down_and_up_again(empty: Empty) -> None:
    tables = set(Base.metadata.tables)
    indexes = {
        index.name
        for table in Base.metadata.tables.values()
        for index in table.indexes
        if not (empty.is_sqlite and index.dialect_options["postgresql"]["using"])
    }

    empty.alembic("upgrade", "head")
    assert empty.names("table") == tables | {"alembic_version"}
    # Also those with an order or a condition, of which alembic compares nothing on SQLite.
    assert indexes <= empty.names("index")
    assert "No new upgrade operations detected" in empty.alembic("check")

    empty.alembic("downgrade", "base")
    assert empty.names("table") == {"alembic_version"}

    empty.alembic("upgrade", "head")
    assert empty.names("table") == tables | {"alembic_version"}
    script = ScriptDirectory.from_config(Config(TOP / "alembic.ini"))
    assert [empty.revision()] == script.get_heads()
