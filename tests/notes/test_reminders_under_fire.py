"""Three workers, on PostgreSQL one of them with a wrong clock, a schedule that knocks every
second, and kills. SQLite has no clock but that of the one host whose processes share it.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from subprocess import Popen
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import func, insert, select

from app.chaos.servers import valkey_server
from app.core.clock import utcnow
from app.core.columns import new_id
from app.jobs.models import BackgroundJob
from app.notes.models import Reminder
from tests.conftest import MakeSettings
from tests.faults.conftest import Field, open_field
from tests.faults.crew import pid_of
from tests.faults.test_clocks import clock, with_wrong_clocks
from tests.mail.post_office import PostOffice, open_post_office

pytestmark = pytest.mark.fault

Record = Callable[[str, object], None]
WORKERS = 3


class Posts:
    """Three workers of one engine that send to one post office; whoever is killed is replaced."""

    def __init__(self, field: Field, engine: str, office: PostOffice) -> None:
        self._field, self._engine = field, engine
        self._environment = {
            "TEST_JOBS": "tests.notes.served",
            "SMTP_URL": office.url,
            "MAIL_FROM": "headway@example.org",
        }
        self._workers = [self._start(number) for number in range(WORKERS)]

    def _start(self, number: int) -> "Popen[bytes]":
        wrong = number == 1 and not self._field.resources.db.is_sqlite
        shift = clock("+90s") if wrong else {}
        return self._field.worker(self._engine, **self._environment, **shift)

    async def kill_the_sender(self) -> None:
        """Whoever runs the job; if nobody does at this moment, the first."""
        running = [row for row in await runs(self._field) if row.status == "running"]
        pids = [pid_of(row.worker_id) for row in running]
        numbers = [n for n, worker in enumerate(self._workers) if worker.pid in pids]
        number = numbers[0] if numbers else 0
        self._workers[number].kill()
        await asyncio.to_thread(self._workers[number].wait)
        self._workers[number] = self._start(number)


@pytest.fixture
async def field(make_settings: MakeSettings, tmp_path: Path, engine: str) -> AsyncIterator[Field]:
    settings = make_settings(job_lease_seconds=3, shutdown_grace_seconds=2, arq_max_jobs=4)
    if engine != "arq":
        async with open_field(settings, tmp_path / "workers.log") as opened:
            yield opened
        return
    with valkey_server() as server:
        settings = settings.model_copy(update={"redis_url": SecretStr(server.url)})
        async with open_field(settings, tmp_path / "workers.log") as opened:
            yield opened


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with open_post_office() as opened:
        yield opened


async def write(field: Field, count: int) -> list[UUID]:
    """So many reminders that have been due by every clock here; their ids."""
    due, ids = utcnow() - timedelta(minutes=5), [new_id() for _ in range(count)]
    rows = [
        {"id": each, "owner_id": each, "message": f"number {number}", "channel": "email",
         "recipient": f"p{number}@example.com", "scheduled_at": due, "created_at": due,
         "updated_at": due}
        for number, each in enumerate(ids)
    ]  # fmt: skip
    async with field.resources.db.transaction() as session:
        await session.execute(insert(Reminder), rows)
    return ids


async def left(field: Field) -> int:
    async with field.resources.db.reading() as session:
        waits = select(func.count()).where(Reminder.status.in_(["pending", "sending"]))
        return (await session.execute(waits)).scalar_one()


async def all_ended(field: Field, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while rest := await left(field):
        assert time.monotonic() < deadline, f"{rest} left\n{field.logged()[-3000:]}"
        await asyncio.sleep(0.1)


async def runs(field: Field) -> list[BackgroundJob]:
    async with field.resources.db.reading() as session:
        return list(await session.scalars(select(BackgroundJob).order_by(BackgroundJob.seq)))


def message_ids(ids: list[UUID]) -> set[str]:
    return {f"<reminder-{each}@example.org>" for each in ids}


_LONG = pytest.mark.long


def every(*, long: bool) -> pytest.MarkDecorator:
    """Each engine on each database; the short form takes one of each (`make test` the first)."""
    pairs: list[Any] = [("arq", "postgresql"), ("database", "sqlite")] if long else []
    first = ("database", "postgresql")
    pairs += [first, ("arq", "sqlite") if long else pytest.param("arq", "sqlite", marks=_LONG)]
    return pytest.mark.parametrize(("engine", "database_url"), pairs, indirect=["database_url"])


async def each_once(field: Field, engine: str, office: PostOffice, count: int) -> list[int]:
    """Send `count` reminders; how many each run has sent."""
    ids = await write(field, count)
    Posts(field, engine, office)
    await all_ended(field, 30 + count * 0.1)

    assert len(office.ids) == count
    assert set(office.ids) == message_ids(ids)
    async with field.resources.db.reading() as session:
        rows = list(await session.scalars(select(Reminder)))
    assert {(row.status, row.maybe_sent_twice, row.tries) for row in rows} == {("sent", False, 0)}
    return [row.processed_items for row in await runs(field) if row.processed_items]


@with_wrong_clocks
@every(long=False)
async def test_three_workers_send_each_reminder_once(
    field: Field, engine: str, office: PostOffice
) -> None:
    sent = await each_once(field, engine, office, 60)

    assert sum(sent) == 60


@pytest.mark.long
@with_wrong_clocks
@every(long=True)
async def test_a_thousand_reminders_are_a_thousand_deliveries(
    field: Field, engine: str, office: PostOffice, record_property: Record
) -> None:
    began = time.monotonic()
    sent = await each_once(field, engine, office, 1000)

    record_property("seconds", round(time.monotonic() - began, 1))
    record_property("sent by each run", sent)
    assert sum(sent) == 1000
    for row in await runs(field):
        assert row.total_items is None or row.total_items >= row.processed_items


async def killed(
    field: Field, engine: str, office: PostOffice, count: int, kills: int, seed: int
) -> int:
    """Send `count` reminders while workers are killed; how many deliveries were too many."""
    dice = random.Random(seed)
    ids = await write(field, count)
    posts = Posts(field, engine, office)
    for number in range(kills):
        wanted = (number + dice.random()) * count / (kills + 1)
        while len(set(office.ids)) < wanted:
            assert await left(field)
            await asyncio.sleep(0.001)
        await posts.kill_the_sender()
    await all_ended(field, 60 + count * 0.1)

    deliveries = Counter(office.ids)
    assert set(deliveries) == message_ids(ids)
    twice = {each for each, times in deliveries.items() if times > 1}
    async with field.resources.db.reading() as session:
        rows = list(await session.scalars(select(Reminder)))
    assert {row.status for row in rows} == {"sent"}
    assert twice <= message_ids([row.id for row in rows if row.maybe_sent_twice])
    assert len({delivery.content for delivery in office.delivered}) == count  # byte-identical
    return sum(deliveries.values()) - count


@with_wrong_clocks
@every(long=False)
async def test_kills_lose_nothing_and_double_one_message_each_at_the_most(
    field: Field, engine: str, office: PostOffice
) -> None:
    assert await killed(field, engine, office, 100, kills=3, seed=6) <= 3


@pytest.mark.long
@with_wrong_clocks
@every(long=True)
async def test_twenty_kills_lose_none_of_a_thousand(
    field: Field, engine: str, office: PostOffice, record_property: Record
) -> None:
    doubled = await killed(field, engine, office, 1000, kills=20, seed=20)

    record_property("doubled", doubled)
    assert doubled <= 20
