"""Indexing a backup: rows a second into each database, with and without the search index.

    python -m benchmarks.backups FOLDER [--name "what machine this is"]

FOLDER is an unencrypted backup; ../shared/tools/backup_generator makes them of any size. For each
database the whole job runs `--rounds` times in a house of its own, and then once more unchanged. Rows
a second are records of a domain over the seconds of its stage, which are in the audit trail; the
best of them, because machines are shared. Memory is the highest resident size of this process
and its child together, looked at twenty times a second.
"""

import argparse
import asyncio
import os
import platform
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

import app.catalogue  # noqa: F401 -- every model is in the metadata
from app.backups.domains import DOMAINS
from app.backups.jobs import IndexBackup
from app.chaos.servers import postgres_server, scratch
from app.core import loops
from app.core.db import Base
from app.jobs.models import JobEvent
from app.resources import Resources, open_resources
from app.settings import Settings
from tests.backups.house import House

LONGEST_SECONDS = 3600.0
_MIB = 2**20


@dataclass
class Run:
    """One whole job."""

    seconds: float
    stages: dict[str, float]
    counts: dict[str, int]
    peak_bytes: int = 0


@dataclass
class Best:
    """The best figures of several runs."""

    runs: list[Run] = field(default_factory=list)
    unchanged: float = 0.0

    def stage(self, name: str) -> float:
        return min(run.stages.get(name, 0.0) for run in self.runs)


async def index(house: House, backup_id: UUID) -> Run:
    watch = asyncio.create_task(_peak())
    began = time.monotonic()
    job_id = await house.jobs.ask(IndexBackup(backup_id=backup_id))
    await house.jobs.run_all(LONGEST_SECONDS)
    row = await house.jobs.row(job_id)
    seconds = time.monotonic() - began
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    assert row.status == "completed", row.error_message
    assert row.result is not None
    stages = await _stages(house.resources, row.id)
    return Run(seconds, stages, row.result["counts"], _PEAK[0])


async def _stages(resources: Resources, job_id: UUID) -> dict[str, float]:
    """Seconds from one line of the audit trail to the next, by stage."""
    async with resources.db.reading() as session:
        statement = select(JobEvent).where(JobEvent.job_id == job_id).order_by(JobEvent.seq)
        events = list((await session.execute(statement)).scalars())
    found: dict[str, float] = {}
    for event, after in pairwise(events):
        name = (event.data or {}).get("stage") or event.kind
        found[name] = found.get(name, 0.0) + (after.at - event.at).total_seconds()
    return found


_PEAK = [0]


async def _peak() -> None:
    _PEAK[0] = 0
    while True:
        _PEAK[0] = max(_PEAK[0], await asyncio.to_thread(_resident))
        await asyncio.sleep(0.05)


def _resident() -> int:
    """Resident bytes of this process and of its children that are Python too."""
    mine = os.getpid()
    total = _of(mine)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            facts = path.read_text().rpartition(")")[2].split()
            command = path.with_name("cmdline").read_bytes()
            if int(facts[1]) == mine and b"app.core.child" in command:
                total += _of(int(path.parent.name))
    return total


def _of(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def house_at(url: str, folder: Path, data: Path) -> AsyncIterator[House]:
    settings = Settings(
        _env_file=None,
        data_dir=data,
        database_url=url,
        backup_roots=(folder.parent,),
        log_level="error",
    )
    async with open_resources(settings) as resources:
        async with resources.db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield House(resources, folder, folder.parent)


async def measure(url: str, folder: Path, data: Path, rounds: int) -> Best:
    best, backup_id = Best(), None
    async with house_at(url, folder, data) as house:
        for _ in range(rounds):
            backup_id = await house.register(folder)
            best.runs.append(await index(house, backup_id))
        assert backup_id is not None
        best.unchanged = (await index(house, backup_id)).seconds
    return best


def report(name: str, best: Best) -> None:
    fastest = min(best.runs, key=lambda run: run.seconds)
    print(f"\n{name}: all six domains with search {fastest.seconds:.2f} s; ", end="")
    searching = sum(best.stage(f"{domain.name}: search") for domain in DOMAINS)
    opening = best.stage("opening")
    print(
        f"of it opening {opening:.2f} s, the search index {searching:.2f} s; unchanged {best.unchanged:.2f} s; ",
        end="",
    )
    print(f"peak {max(run.peak_bytes for run in best.runs) / _MIB:.0f} MiB")
    for domain in DOMAINS:
        rows = fastest.counts.get(domain.items, 0)
        load, fed = best.stage(domain.name), best.stage(f"{domain.name}: search")
        rate = rows / load if load else 0.0
        print(f"  {domain.name:9} {rows:>9,} rows {rate:>9,.0f} rows/s, search {fed:.2f} s")


def machine() -> str:
    model = "unknown processor"
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    load: Any = os.getloadavg() if hasattr(os, "getloadavg") else ("?",)
    return f"{os.cpu_count()} x {model}, {platform.system()}, Python {platform.python_version()}, load {load[0]}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", help="what machine this is", default=None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    given = parser.parse_args()
    folder: Path = given.folder.resolve()
    print(f"{folder.name} on {given.name or machine()}")
    with scratch("backups") as data:
        if given.only != "postgresql":
            url = f"sqlite+aiosqlite:///{data}/headway.db"
            report("SQLite", await measure(url, folder, data / "one", given.rounds))
        server = nullcontext() if given.only == "sqlite" else postgres_server()
        with server as running:
            if running is not None:
                report(
                    "PostgreSQL", await measure(running.url(), folder, data / "two", given.rounds)
                )


if __name__ == "__main__":
    loops.run(main())  # as a worker does
