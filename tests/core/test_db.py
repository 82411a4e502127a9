"""The database under cancellation, on both kinds."""

import asyncio
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text, update

from app.core.columns import new_id
from app.core.db import Database, database_url
from app.jobs.models import BackgroundJob
from app.resources import Resources
from tests.harness import JobHarness
from tests.jobs.test_basics import Count, count


async def test_cancelled_transactions_leave_no_lock_behind(resources: Resources) -> None:
    jobs = JobHarness(resources, [count])
    await jobs.ask(Count(items=1))
    statement = update(BackgroundJob).values(message="x").returning(BackgroundJob.id)
    dice = random.Random(7)

    async def write() -> None:
        async with resources.db.transaction() as session:
            await session.execute(statement)
            await session.execute(statement)

    for _ in range(60):
        task = asyncio.create_task(write())
        await asyncio.sleep(dice.random() * 0.004)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    began = time.monotonic()
    await write()
    assert time.monotonic() - began < 1.0


async def test_a_blocked_loop_keeps_the_writers_lock_from_nobody(
    sqlite_template: Path, tmp_path: Path
) -> None:
    """Neither the connection that has it nor those that wait for it meanwhile."""
    copy = tmp_path / "headway.db"
    copy.write_bytes(sqlite_template.read_bytes())
    db = Database(f"sqlite:///{copy}")
    held = asyncio.Event()

    async def hold() -> None:
        async with db.transaction() as session:
            await session.execute(update(BackgroundJob).values(message="x"))
            held.set()
            await asyncio.sleep(3600)

    tasks = [asyncio.create_task(hold())]
    await held.wait()
    tasks += [asyncio.create_task(hold()) for _ in range(2)]
    await asyncio.sleep(0.1)  # these two wait for the lock, each in its thread

    with db.letting_go():  # the loop is blocked meanwhile
        time.sleep(0.3)  # the second takes the lock as soon as the first has lost it
        other = sqlite3.connect(copy, timeout=2, isolation_level=None)
        for _ in range(20):
            other.execute("BEGIN IMMEDIATE")
            other.execute("COMMIT")
        other.close()

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await db.close()


async def test_passing_errors_are_tried_again(db: Database) -> None:
    tries = 0

    async def work(session: object) -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ConnectionRefusedError("not yet")
        return tries

    assert await db.run(work) == 3


async def test_a_rolled_back_transaction_forgets_its_hooks(db: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as session:
            await session.execute(text("SELECT 1"))
            _ = 1 / 0
    async with db.reading() as session:
        assert (await session.execute(text("SELECT 1"))).scalar_one() == 1


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("postgresql://u:p@/db?host=/run/pg", "postgresql+asyncpg"),
        ("postgres://u@h/db", "postgresql+asyncpg"),
        ("sqlite:///x.db", "sqlite+aiosqlite"),
    ],
)
def test_plain_addresses_are_understood(given: str, driver: str) -> None:
    assert database_url(given.replace("postgres://", "postgresql://")).drivername == driver


def test_ids_sort_by_the_time_they_were_made() -> None:
    first = new_id()
    time.sleep(0.002)
    assert first < new_id()
    assert first.version == 7


_NEVER_RESTS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
connection.execute("CREATE TABLE IF NOT EXISTS hog (x)")
print(flush=True)
while True:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO hog VALUES (?)", [("x" * 200,)] * 20)
    connection.execute("COMMIT")
"""


async def test_a_write_is_not_kept_waiting_by_others_that_never_rest(
    sqlite_template: Path, tmp_path: Path
) -> None:
    """With SQLite's own wait each of these took seconds, and some gave up."""
    copy = tmp_path / "headway.db"
    copy.write_bytes(sqlite_template.read_bytes())
    db = Database(f"sqlite:///{copy}")
    with ExitStack() as stack:
        for _ in range(4):
            command = [sys.executable, "-c", _NEVER_RESTS, str(copy)]
            hog = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(hog.kill)
            assert hog.stdout is not None
            hog.stdout.readline()
        began = time.monotonic()
        for _ in range(30):
            async with db.transaction() as session:
                await session.execute(update(BackgroundJob).values(message="x"))
            await asyncio.sleep(0.02)
        took = time.monotonic() - began
    await db.close()

    assert took < 8.0
