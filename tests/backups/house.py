"""A backup house for tests: roots on disk, jobs that really run, and looks at the tables."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from app.backups import generations, store
from app.backups.domain_run import Batch, DomainRun
from app.backups.domains import DOMAINS, TABLES
from app.backups.items.messages import Message
from app.backups.jobs import IndexBackup, index_backup, purge_backup
from app.backups.manifest import LOGICAL_FILES, compute_file_id
from app.backups.models import ArtifactSearchIndex, Backup
from app.jobs.ledger import Ledger
from app.resources import Resources
from tests.harness import JobHarness

ROWS, BATCH = 1500, 250  # of the sample that the fixture `house` works on
_SMS = compute_file_id(*LOGICAL_FILES["messages"])


class House:
    def __init__(self, resources: Resources, sample: Path, root: Path) -> None:
        self.resources, self.sample, self.root = resources, sample, root
        self.jobs = JobHarness(resources, [index_backup, purge_backup])

    def put(self, where: str = "ada/phone") -> Path:
        """A copy of the sample below the root."""
        return Path(shutil.copytree(self.sample, self.root / where))

    async def register(self, path: Path | None, **more: Any) -> UUID:
        given: dict[str, Any] = {
            "name": "phone",
            "path": None if path is None else str(path),
            "warnings": [],
        }
        async with self.resources.db.transaction() as session:
            backup = Backup(**(given | more))
            await store.add(session, backup)
            return backup.id

    async def index(self, backup_id: UUID) -> Any:
        return await self.jobs.run(IndexBackup(backup_id=backup_id))

    async def cancel(self, job_id: UUID) -> None:
        async with self.resources.db.transaction() as session:
            await Ledger(self.resources.db, self.jobs.queue).cancel(session, job_id, None)

    async def retry(self, job_id: UUID) -> Any:
        async with self.resources.db.transaction() as session:
            await Ledger(self.resources.db, self.jobs.queue).retry(session, job_id, None)
        await self.jobs.run_all()
        return await self.jobs.row(job_id)

    async def run_when_due(self, job_id: UUID) -> Any:
        """Run a job that waits for its next try."""
        for _ in range(100):
            await self.jobs.run_all()
            row = await self.jobs.row(job_id)
            if row.status != "queued":
                return row
            await asyncio.sleep(0.05)
        raise AssertionError("never due")

    async def backup(self, backup_id: UUID) -> Backup:
        async with self.resources.db.reading() as session:
            return await store.one(session, backup_id, None)

    async def seen(self, backup_id: UUID) -> dict[str, int]:
        """What readers see: the rows themselves, which must be as many as the pointer says."""
        async with self.resources.db.reading() as session:
            numbers = (await store.counts(session, [backup_id]))[backup_id]
            for domain in DOMAINS:
                live = generations.live(backup_id, domain.name)
                for table, name in domain.counts.items():
                    count = select(func.count()).select_from(table)
                    mine = count.where(table.backup_id == backup_id, table.generation == live)
                    assert (await session.execute(mine)).scalar_one() == numbers.get(name, 0)
        return numbers

    async def rows(self, backup_id: UUID, model: Any) -> list[dict[str, Any]]:
        """The rows of one table, by column."""
        async with self.resources.db.reading() as session:
            statement = select(model.__table__).where(model.backup_id == backup_id)
            found = await session.execute(statement.order_by(*model.__table__.primary_key))
            return [dict(row) for row in found.mappings()]

    async def content(self, backup_id: UUID) -> list[list[tuple[Any, ...]]]:
        """Every stored row of a backup without its generation, dead ones included."""
        tables = []
        async with self.resources.db.reading() as session:
            models: tuple[Any, ...] = (*TABLES, ArtifactSearchIndex)
            for model in models:
                table = model.__table__
                hidden = ("id", "backup_id", "generation")
                columns = [c for c in table.columns if c.name not in hidden]
                statement = select(*columns).where(table.c.backup_id == backup_id)
                rows = (await session.execute(statement.order_by(*columns[:2]))).all()
                tables.append([tuple(row) for row in rows])
        return tables

    def execute(self, folder: Path, name: str, sql: str) -> None:
        """Change one database of a backup."""
        file_id = compute_file_id(*LOGICAL_FILES[name])
        with closing(sqlite3.connect(folder / file_id[:2] / file_id)) as db:
            db.execute(sql)
            db.commit()

    async def names(self, backup_id: UUID) -> set[str | None]:
        """Who has sent the messages that readers see."""
        live = generations.live(backup_id, "messages")
        statement = select(Message.sender_name).where(
            Message.backup_id == backup_id, Message.generation == live
        )
        async with self.resources.db.reading() as session:
            return set((await session.execute(statement)).scalars())

    async def stored(self) -> int:
        """Bulk rows of all backups and generations."""
        async with self.resources.db.reading() as session:
            numbers = [
                (await session.execute(select(func.count()).select_from(one))).scalar_one()
                for one in TABLES
            ]
        return int(sum(numbers))


def sms(folder: Path) -> Path:
    return folder / _SMS[:2] / _SMS


def add_message(folder: Path, text: str = "one more") -> None:
    """The phone got a message since."""
    with closing(sqlite3.connect(sms(folder))) as db:
        db.execute(
            "INSERT INTO message (guid, text, date, handle_id, is_from_me, item_type,"
            " associated_message_type) VALUES (?, ?, 780000000000000000, 1, 0, 0, 0)",
            (f"extra-{text}", text),
        )
        (rowid,) = db.execute("SELECT max(ROWID) FROM message").fetchone()
        db.execute("INSERT INTO chat_message_join VALUES (1, ?, 0)", (rowid,))
        db.commit()


def counts_of(truth: dict[str, int]) -> dict[str, int]:
    known = truth | {"message_attachments": truth["attachments"]}
    return {name: known[name] for domain in DOMAINS for name in domain.counts.values()}


def items_of(truth: dict[str, int]) -> int:
    return sum(truth[domain.items] for domain in DOMAINS)


def outcomes(outcome: str, **others: str) -> dict[str, str]:
    return {domain.name: outcome for domain in DOMAINS} | others


class Gate:
    """Stops a run before its n-th batch, until it is opened."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, before: int, domain: str = "messages"
    ) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self.batches: list[int] = []
        real = DomainRun._add

        async def gated(run: DomainRun, batch: Batch, **how: Any) -> None:
            if run.domain.name == domain:
                self.batches.append(batch.rowid)
                if len(self.batches) == before:
                    self.reached.set()
                    await self.opened.wait()
            await real(run, batch, **how)

        monkeypatch.setattr(DomainRun, "_add", gated)
