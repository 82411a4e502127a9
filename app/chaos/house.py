"""Where chaos happens: private servers, four workers, and this process's own way to ask and look."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import text

from app import migrate
from app.chaos.guardian import guarded_folder
from app.chaos.kinds import TABLES, registry
from app.chaos.servers import Postgres, Valkey
from app.chaos.workers import Crew
from app.core.db import Database
from app.jobs.engines import open_queue
from app.jobs.queue import JobQueue
from app.resources import open_resources
from app.settings import Settings

LEASE_SECONDS = 15.0
_SLOTS = 6  # per worker: few, so that all of them have work
_PATIENCE = 60.0  # seconds for which a look waits for a database that is away
_LOOK_SECONDS = 0.05

_HELD = """
SELECT id, (SELECT coalesce(max(seq), 0) FROM job_events) FROM background_jobs
WHERE status = 'running' AND worker_id LIKE :mark"""
_WAITING = """
SELECT count(*) FROM unnest(CAST(:ids AS uuid[])) AS held WHERE NOT EXISTS (
  SELECT 1 FROM job_events WHERE job_id = held AND seq > :since
  AND kind IN ('started', 'completed', 'failed', 'cancelled'))"""
_OPEN = "SELECT count(*) FROM background_jobs WHERE status IN ('queued', 'running')"
_ENDED = "SELECT 1 FROM background_jobs WHERE id = :id AND status NOT IN ('queued', 'running')"
_SIGNED_IN = "SELECT 1 FROM workers WHERE id LIKE :mark"


@dataclass(frozen=True, slots=True)
class Held:
    """The jobs that a worker process holds at a moment of the audit trail."""

    ids: list[UUID]
    since: int


@dataclass(frozen=True, slots=True)
class House:
    """Servers, workers, and a queue to ask through."""

    postgres: Postgres
    valkey: Valkey
    db: Database
    queue: JobQueue
    crew: Crew

    async def look(self, sql: str, **values: Any) -> list[Any]:
        """The rows of a statement that only reads, however long the database is away."""

        async def read(session: Any) -> list[Any]:
            return list((await session.execute(text(sql), values)).all())

        return await self.db.run(read, patience=_PATIENCE)

    async def held_by(self, pid: int) -> Held:
        """The jobs that run in the worker process `pid`."""
        rows = await self.look(_HELD, mark=f"%:{pid}:%")
        return Held([row[0] for row in rows], rows[0][1] if rows else 0)

    async def went_on(self, held: Held, limit: float) -> bool:
        """Wait until every one of these jobs was started again or has ended; at most `limit`."""
        return await self._came(lambda left: left == 0, limit, _WAITING, **_parameters(held))

    async def signed_in(self, pid: int, limit: float) -> bool:
        """Wait until the worker process `pid` is at work."""
        return await self._came(bool, limit, _SIGNED_IN, mark=f"%:{pid}:%")

    async def ended(self, job_id: UUID, limit: float) -> bool:
        """Wait for the end of one job."""
        return await self._came(bool, limit, _ENDED, id=job_id)

    async def drained(self, limit: float) -> bool:
        """Wait until nothing is queued or running."""
        return await self._came(lambda left: left == 0, limit, _OPEN)

    async def _came(
        self, right: Callable[[Any], bool], limit: float, sql: str, **values: Any
    ) -> bool:
        deadline = time.monotonic() + limit
        while True:
            rows = await self.look(sql, **values)
            if right(rows[0][0] if rows else None):
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def open_house(log: Path | None = None) -> AsyncGenerator[House]:
    """A house with its tables and without workers; with the block it all ends.

    Args:
        log: where the workers write; without one it goes with the house.
    """
    with guarded_folder() as folder:
        postgres, valkey = Postgres(folder / "postgres", durable=True), Valkey(folder / "valkey")
        await asyncio.to_thread(_open_servers, postgres, valkey)
        settings = _settings(folder, postgres, valkey)
        async with (
            open_resources(settings) as resources,
            open_queue(resources, registry()) as queue,
        ):
            await _make_tables(resources.db)
            place = folder / "workers"
            place.mkdir()
            crew = Crew(settings, place, (log or place / "log").absolute())
            yield House(postgres, valkey, resources.db, queue, crew)


def _open_servers(postgres: Postgres, valkey: Valkey) -> None:
    postgres.init()
    postgres.start()
    valkey.start()


def _settings(folder: Path, postgres: Postgres, valkey: Valkey) -> Settings:
    return Settings(
        _env_file=None,
        data_dir=folder / "data",
        database_url=postgres.url(),
        redis_url=SecretStr(valkey.url),
        queue_routes={},
        job_lease_seconds=LEASE_SECONDS,
        arq_max_jobs=_SLOTS,
    )


async def _make_tables(db: Database) -> None:
    await migrate.upgrade(db)
    async with db.transaction() as session:
        for table in TABLES:
            await session.execute(text(table))


def _parameters(held: Held) -> dict[str, Any]:
    return {"ids": held.ids, "since": held.since}
