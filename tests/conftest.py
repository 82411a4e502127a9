"""Fixtures: real servers once per session, a database of its own for every test."""

import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import app.catalogue  # noqa: F401 -- every model is in the metadata
from app.chaos.servers import Postgres, Valkey, postgres_server, valkey_server
from app.core.db import Base, Database
from app.resources import Resources, open_resources
from app.settings import Settings

_numbers = itertools.count()
_ROOM = 4 << 30


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """In memory where there is room: half of what hundreds of new databases cost is the disk."""
    with postgres_server(parent=_memory()) as server:
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    with valkey_server() as server:
        yield server


@pytest.fixture(scope="session")
async def template(postgres: Postgres) -> str:
    """A PostgreSQL database with all tables, from which each test's own is copied."""
    postgres.psql("CREATE DATABASE template_headway")
    await _create_tables(postgres.url("template_headway"))
    return "template_headway"


@pytest.fixture(scope="session")
async def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "headway.db"
    await _create_tables(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database with all tables; each test runs on both kinds."""
    with empty_database(request.param, request, tmp_path) as url:
        yield url


@contextmanager
def empty_database(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """One with all tables, for as long as the block lasts; its address."""
    if kind == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        copy = folder / "headway.db"
        copy.write_bytes(template.read_bytes())
        yield f"sqlite+aiosqlite:///{copy}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"test_{next(_numbers)}"
    server.psql(f"CREATE DATABASE {name} TEMPLATE {request.getfixturevalue('template')}")
    yield server.url(name)
    server.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the rebuilt model is kept, so that it is made once."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def make_settings(database_url: str, tmp_path: Path, models: Path) -> MakeSettings:
    """Settings for this test's database; nothing is read from the environment or a .env file."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models").symlink_to(models)

    def make(**changes: Any) -> Settings:
        given: dict[str, Any] = {
            "data_dir": tmp_path / "data",
            "database_url": database_url,
            "log_level": "error",
        }
        return Settings(_env_file=None, **(given | changes))

    return make


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings()


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings) as opened:
        yield opened


@pytest.fixture
def db(resources: Resources) -> Database:
    return resources.db


def _memory() -> Path | None:
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shutil.disk_usage(shared).free > _ROOM else None


async def _create_tables(url: str) -> None:
    database = Database(url)
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    if database.is_sqlite:  # the copies are made of one file
        async with database.engine.connect() as connection:
            await connection.exec_driver_sql("COMMIT")
            await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    await database.close()
