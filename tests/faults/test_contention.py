"""Transactions that lose against each other, and a PostgreSQL that only reads; row 22."""

import asyncio
import time

import httpx
import pytest
from sqlalchemy import text

from app.chaos.servers import Postgres
from tests.faults.conftest import Busy, Field
from tests.faults.jobs import Clash, effects_of
from tests.faults.servers_of_own import called

pytestmark = pytest.mark.fault


@pytest.fixture
def database_url(own_database: str) -> str:
    return own_database


@pytest.mark.parametrize(
    ("isolation", "second"),
    [("READ COMMITTED", (2, 1)), ("SERIALIZABLE", (1, 2))],
    ids=["deadlock", "serialization failure"],
)
async def test_a_step_that_lost_against_another_is_done_again(
    steady_field: Field, isolation: str, second: tuple[int, int]
) -> None:
    """Crosswise updates deadlock; equal ones of serializable transactions cannot both commit."""
    db = steady_field.resources.db
    async with db.transaction() as session:
        await session.execute(text("CREATE TABLE pairs (id INTEGER PRIMARY KEY, n INTEGER)"))
        await session.execute(text("INSERT INTO pairs VALUES (1, 0), (2, 0)"))
    jobs = [
        await steady_field.ask(Clash(first=first, second=last, isolation=isolation))
        for first, last in ((1, 2), second)
    ]
    steady_field.worker("arq")

    rows = [await steady_field.completed(job_id) for job_id in jobs]

    assert max(row.attempt for row in rows) > 1  # they did clash
    async with db.reading() as session:
        counts = (await session.execute(text("SELECT n FROM pairs"))).scalars().all()
    assert list(counts) == [2, 2]
    for job_id in jobs:
        kinds = [event.kind for event in await steady_field.events(job_id)]
        assert kinds.count("completed") == 1


@pytest.mark.slow
async def test_a_server_that_only_reads_for_a_while_loses_no_change(
    busy: Busy, api: httpx.AsyncClient, own_postgres: Postgres
) -> None:
    """As a standby before it is promoted: whoever comes may look and not write."""
    async with called(api, busy.jobs[0]) as answers:
        await only_reading(own_postgres, True)
        await asyncio.sleep(3.0)
        refused = [answer for answer in answers if not answer.fine]
        await only_reading(own_postgres, False)
        back = time.monotonic()
        await busy.go_on()
        await asyncio.sleep(1.0)

    assert "POST" in {answer.method for answer in refused}
    for answer in answers:
        assert answer.fine or (answer.status == 503 and answer.patient), answer
        assert answer.fine or answer.began < back, answer
    await busy.completed_once()
    for answer in answers:
        if answer.job_id is not None:
            await busy.field.completed(answer.job_id)
            assert await effects_of(busy.field.resources.db, answer.job_id) == [0]


async def only_reading(server: Postgres, only: bool) -> None:
    """Begin or end it for every session, and cut all connections."""
    await asyncio.to_thread(server.psql, f"ALTER SYSTEM SET default_transaction_read_only = {only}")
    await asyncio.to_thread(server.psql, "SELECT pg_reload_conf()")
    await asyncio.to_thread(
        server.psql,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )
