"""The command line as a person runs it: real processes in a folder of their own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app import migrate
from app.core.db import Database
from app.jobs.maintenance import Prune, prune, rescue
from app.jobs.models import BackgroundJob
from app.resources import open_resources
from app.settings import Settings
from tests.harness import JobHarness

TOP = Path(__file__).parents[2]
Done = subprocess.CompletedProcess[str]


@dataclass
class Terminal:
    """Where commands are typed: an environment and a working folder."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("-m", "app")
    log: IO[str] | None = None  # where stderr goes, if not to the test

    def open(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        plain = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(TOP)}
        return subprocess.Popen(
            [sys.executable, *self.program, *arguments],
            cwd=self.folder,
            env=plain | {"DATA_DIR": str(self.folder)} | self.environment | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log or subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **more: str) -> Done:
        with self.open(*arguments, **more) as process:
            return finished(process)

    def json(self, *arguments: str, **more: str) -> Any:
        done = self.run(*arguments, "--json", **more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def finished(process: "subprocess.Popen[str]", seconds: float = 60.0) -> Done:
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert "Traceback" not in err, err
    return Done(process.args, process.returncode, out, err)


@pytest.fixture(scope="session")
async def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database as `headway db upgrade` leaves it."""
    path = tmp_path_factory.mktemp("migrated") / "headway.db"
    db = Database(f"sqlite:///{path}")
    await migrate.upgrade(db)
    async with db.engine.connect() as connection:
        await connection.exec_driver_sql("COMMIT")
        await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    await db.close()
    return path


@pytest.fixture
def terminal(migrated_file: Path, tmp_path: Path) -> Terminal:
    """A folder with a migrated SQLite database, and nothing set but DATA_DIR."""
    (tmp_path / "headway.db").write_bytes(migrated_file.read_bytes())
    return Terminal(tmp_path)


@pytest.fixture
def either(database_url: str, tmp_path: Path) -> Terminal:
    """The same on an SQLite and on a PostgreSQL database with all tables."""
    return Terminal(tmp_path, {"DATABASE_URL": database_url})


class Rows:
    """Jobs asked for behind the command line's back."""

    def __init__(self, harness: JobHarness) -> None:
        self.harness = harness

    async def ask(self) -> UUID:
        return await self.harness.ask(Prune())

    async def ask_for_the_impossible(self) -> UUID:
        job_id = await self.ask()
        await self.set(job_id, args={"sense": "none"})
        return job_id

    async def set(self, job_id: UUID, **values: Any) -> None:
        async with self.harness.resources.db.transaction() as session:
            statement = update(BackgroundJob).where(BackgroundJob.id == job_id)
            await session.execute(statement.values(**values))

    async def status(self, job_id: UUID) -> str:
        return (await self.harness.row(job_id)).status


async def _rows(url: str, folder: Path) -> AsyncIterator[Rows]:
    settings = Settings(_env_file=None, data_dir=folder, database_url=url)
    async with open_resources(settings) as resources:
        yield Rows(JobHarness(resources, [prune, rescue]))


@pytest.fixture
async def rows(terminal: Terminal) -> AsyncIterator[Rows]:
    """The jobs of `terminal`'s database."""
    url = f"sqlite:///{terminal.folder / 'headway.db'}"
    async for rows in _rows(url, terminal.folder):
        yield rows


@pytest.fixture
async def either_rows(either: Terminal) -> AsyncIterator[Rows]:
    """The jobs of `either`'s database."""
    async for rows in _rows(either.environment["DATABASE_URL"], either.folder):
        yield rows


@dataclass
class Up:
    """A running `headway up`."""

    url: str
    process: "subprocess.Popen[str]"


@contextmanager
def headway_up(terminal: Terminal) -> Iterator[Up]:
    """`headway up` on a free port; its log is the file `up.log`."""
    arguments = ("up", "--port", "0", "--json")
    with (
        (terminal.folder / "up.log").open("w") as log,
        replace(terminal, log=log).open(*arguments, LOG_FORMAT="json") as process,
    ):
        try:
            assert process.stdout is not None
            yield Up(json.loads(process.stdout.readline())["url"], process)
        finally:
            process.terminate()
            process.wait(15)


def wait_until(ready: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
