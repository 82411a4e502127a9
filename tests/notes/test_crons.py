"""The schedules of reminders and reservations, as the service's own catalogue has them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.catalogue import SCHEDULES
from app.core.clock import utcnow, wire
from app.jobs.models import BackgroundJob
from app.jobs.schedule import Clockwork
from app.jobs.spec import Job
from app.notes.jobs import send_reminders
from app.notes.routes import reminders
from app.settings import Settings
from app.usage.jobs import cleanup_reservations
from tests.site import Site, open_site

OURS = {
    "check_and_send_reminders": ("reminder_dispatch", (0, 15, 30, 45)),
    "cleanup_stale_reservations": ("reservation_cleanup", tuple(range(0, 60, 5))),
}


@pytest.fixture
async def crons(settings: Settings) -> AsyncIterator[Site]:
    jobs: list[Job[Any]] = [send_reminders, cleanup_reservations]
    async with open_site(settings, [reminders], jobs) as opened:
        yield opened


async def test_each_slot_is_one_row_with_counts_that_an_admin_sees(crons: Site) -> None:
    site = crons
    due = wire(utcnow() - timedelta(minutes=1))
    body = {"message": "Paint.", "channel": "log", "scheduled_at": due}
    await site.alice.post("/reminders", json=body)
    schedules = [each for each in SCHEDULES if each.name in OURS]
    assert {each.name: (each.args().kind, each.minutes) for each in schedules} == OURS

    for _ in range(2):  # as two workers would
        await Clockwork(site.resources.db, site.jobs.queue, schedules).knock()
    await site.jobs.run_all()

    listed = (await site.admin.get("/jobs")).json()
    seen = {row["job_type"]: (row["status"], row["processed_items"]) for row in listed["jobs"]}
    assert listed["total"] == 2
    assert seen == {"reminder_dispatch": ("completed", 1), "reservation_cleanup": ("completed", 0)}
    assert (await site.alice.get("/jobs")).json() == {"jobs": [], "total": 0}
    async with site.resources.db.reading() as session:
        rows = list(await session.scalars(select(BackgroundJob)))
    for row in rows:
        assert row.schedule is not None
        assert row.slot is not None
        assert row.slot.minute in OURS[row.schedule][1]
        assert timedelta() <= utcnow() - row.slot < timedelta(minutes=15)
