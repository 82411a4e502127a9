"""Real worker processes for builds and deployments, and a site that asks them for work."""

import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from app.jobs.models import WorkerRow
from app.settings import Settings
from tests.processes import end, environment, start_worker
from tests.releases.site import ENDED, Site, open_site
from tests.waiting import until


@dataclass(slots=True)
class Crew:
    """Workers of one engine on one table."""

    site: Site
    settings: Settings
    engine: str
    folder: Path
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    async def hire(self, **changes: str) -> "subprocess.Popen[bytes]":
        """Start a worker and wait until it has signed in."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        env = environment(self.settings, TEST_JOBS="tests.releases.worker_jobs", **changes)
        worker = start_worker(self.engine, env, log)
        self.workers.append(worker)
        await until(lambda: self._signed_in(worker), 30)
        return worker

    async def stands(self, path: str, *statuses: str, seconds: float = 30.0) -> dict[str, Any]:
        """The build or deployment at `path` once it stands in one of `statuses`."""

        async def look() -> dict[str, Any] | None:
            found = await self.site.get(path)
            return found if found["status"] in statuses else None

        return await until(look, seconds)

    async def ended(self, path: str, seconds: float = 60.0) -> dict[str, Any]:
        return await self.stands(path, *ENDED, seconds=seconds)

    async def printed(self, build_id: str, text: str) -> None:
        async def look() -> bool:
            return text in await self.site.log(build_id)

        await until(look, 30)

    async def audit_of_all(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        while True:
            part = await self.site.get(f"/audit?limit=200&offset={len(lines)}")
            lines += part["items"]
            if len(lines) >= part["total"]:
                return lines

    async def _signed_in(self, worker: "subprocess.Popen[bytes]") -> bool:
        assert worker.poll() is None, self.folder
        async with self.site.resources.db.reading() as session:
            names = await session.scalars(select(WorkerRow.id))
            return any(f":{worker.pid}:" in name for name in names)


@asynccontextmanager
async def open_crew(settings: Settings, engine: str, folder: Path) -> AsyncIterator[Crew]:
    async with open_site(settings) as site:
        crew = Crew(site, settings, engine, folder)
        try:
            yield crew
        finally:
            for worker in crew.workers:
                end(worker)


def stopped(worker: "subprocess.Popen[bytes]", seconds: float = 20.0) -> None:
    """Wait until a failpoint has frozen the worker."""
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.02)
