"""Reminders: asked for over HTTP, sent by their job to a real SMTP server."""

import asyncio
import logging
import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from aiosmtpd.smtp import Envelope

from app.core.clock import utcnow, wire
from app.jobs.engines.inline import run_all
from app.jobs.ledger import Ledger
from app.notes import reminder_rows
from app.notes.jobs import SendReminders
from app.notes.models import Channel
from app.notes.reminders import TRIES, is_address
from tests.mail.post_office import PostOffice
from tests.site import Site
from tests.waiting import until

ADA = "ada@example.com"


async def remind(client: httpx.AsyncClient, to: str | None = ADA, **changes: Any) -> str:
    """Ask for a reminder that is due; its id."""
    channel = "log" if to is None else "email"
    body = {"message": "Paint the hull.", "channel": channel, "recipient": to}
    body["scheduled_at"] = wire(utcnow() - timedelta(minutes=1))
    answer = await client.post("/reminders", json=body | changes)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def shown(client: httpx.AsyncClient, which: str) -> dict[str, Any]:
    found = (await client.get("/reminders?limit=200")).json()["items"]
    (one,) = [item for item in found if item["id"] == which]
    return dict(one)


async def statuses(client: httpx.AsyncClient) -> list[str]:
    """Of the caller's reminders, the oldest first."""
    items = (await client.get("/reminders?limit=200")).json()["items"]
    return [item["status"] for item in reversed(items)]


async def test_what_is_due_is_sent_once(site: Site, office: PostOffice) -> None:
    first = await remind(site.alice, message="Paint the hull.\nBoth sides.")
    later = await remind(site.alice, scheduled_at=wire(utcnow() + timedelta(hours=1)))
    before = await shown(site.alice, first)

    rows = [await site.jobs.run(SendReminders()) for _ in range(2)]

    results = [{"affected": sent, "failed": 0, "waiting": 0} for sent in (1, 0)]
    assert [row.result for row in rows] == results
    assert (rows[0].total_items, rows[0].processed_items) == (1, 1)
    assert office.ids == [f"<reminder-{first}@example.org>"]
    assert b"Subject: Reminder: Paint the hull. Both sides." in office.delivered[0].content
    after = await shown(site.alice, first)
    assert (before["status"], before["sent_at"]) == ("pending", None)
    assert (after["status"], after["maybe_sent_twice"], after["tries"]) == ("sent", False, 0)
    assert after["sent_at"] >= before["created_at"]
    assert (await shown(site.alice, later))["status"] == "pending"


async def test_the_longest_due_goes_first(site: Site, office: PostOffice) -> None:
    due = [wire(utcnow() - timedelta(minutes=minutes)) for minutes in (1, 3, 2)]
    ids = [await remind(site.alice, scheduled_at=moment) for moment in due]

    await site.jobs.run(SendReminders())

    assert office.ids == [f"<reminder-{ids[n]}@example.org>" for n in (1, 2, 0)]


async def test_a_log_reminder_is_a_line(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    which = await remind(site.alice, None)

    with caplog.at_level(logging.WARNING, "app.mail.log"):
        await site.jobs.run(SendReminders())

    assert (await shown(site.alice, which))["status"] == "sent"
    assert [vars(record)["text"] for record in caplog.records] == ["Paint the hull.\n"]


async def test_one_refused_recipient_fails_with_the_reason(site: Site, office: PostOffice) -> None:
    office.answers = {"gone@example.com": ["550 no such user"]}
    ids = [await remind(site.alice, to) for to in (ADA, "gone@example.com", ADA)]

    row = await site.jobs.run(SendReminders())

    assert row.status == "completed"
    assert (row.processed_items, row.failed_items) == (2, 1)
    assert await statuses(site.alice) == ["sent", "failed", "sent"]
    failed = await shown(site.alice, ids[1])
    assert (failed["error_message"], failed["tries"]) == ("550 no such user", 1)


async def test_a_recipient_who_is_busy_is_tried_once_per_run_and_not_for_ever(
    site: Site, office: PostOffice
) -> None:
    office.answers = {ADA: ["451 later"] * 2, "full@example.com": ["452 full"] * 20}
    busy, full = await remind(site.alice), await remind(site.alice, "full@example.com")

    first = await site.jobs.run(SendReminders())
    assert first.result == {"affected": 0, "failed": 0, "waiting": 2}
    rows = [await site.jobs.run(SendReminders()) for _ in range(TRIES)]

    assert [row.failed_items for row in rows] == [0, 0, 0, 1, 0]
    assert (await shown(site.alice, busy))["status"] == "sent"
    assert (await shown(site.alice, busy))["tries"] == 2
    gave_up = await shown(site.alice, full)
    assert (gave_up["status"], gave_up["tries"]) == ("failed", TRIES)
    assert gave_up["error_message"] == "452 full"


async def test_a_lost_answer_may_mean_a_second_delivery_and_the_row_says_so(
    site: Site, office: PostOffice
) -> None:
    dropped: list[bytes] = []

    async def drop_once(envelope: Envelope) -> str | None:
        assert envelope.original_content is not None
        dropped.append(envelope.original_content)
        return "hang up" if len(dropped) == 1 else None

    office.on_data = drop_once
    which, other = [await remind(site.alice) for _ in range(2)]

    await site.jobs.run(SendReminders())
    assert await statuses(site.alice) == ["pending", "sent"]
    await site.jobs.run(SendReminders())

    twice, once = await shown(site.alice, which), await shown(site.alice, other)
    assert (twice["status"], twice["maybe_sent_twice"]) == ("sent", True)
    assert (once["status"], once["maybe_sent_twice"]) == ("sent", False)
    assert dropped[0] == dropped[2] == office.delivered[1].content


async def test_a_server_that_is_away_costs_no_try_and_holds_nothing_else_up(
    site: Site, office: PostOffice
) -> None:
    office.closed_to = "headway@example.org"
    mailed, logged = await remind(site.alice), await remind(site.alice, None)

    row = await site.jobs.run(SendReminders())

    assert (row.status, row.error_type) == ("queued", "unavailable")
    assert (await shown(site.alice, mailed))["tries"] == 0
    assert await statuses(site.alice) == ["pending", "sent"]

    office.closed_to = None

    async def sent() -> bool:
        await run_all(site.jobs.worker())
        return await statuses(site.alice) == ["sent", "sent"]

    await until(sent)
    assert (await site.jobs.row(row.id)).processed_items == 2
    assert not (await shown(site.alice, logged))["maybe_sent_twice"]


async def test_a_worker_that_stops_waits_for_the_answer(site: Site, office: PostOffice) -> None:
    under_way = threading.Event()

    async def think(_envelope: Envelope) -> None:
        under_way.set()
        await asyncio.sleep(0.5)

    office.on_data = think
    for _ in range(3):
        await remind(site.alice)
    async with site.jobs.on_shift() as worker:
        job_id = await site.jobs.ask(SendReminders())
        await worker.claim()
        assert await asyncio.to_thread(under_way.wait, 10)

    row = await site.jobs.row(job_id)
    assert (row.status, row.processed_items) == ("queued", 1)
    assert await statuses(site.alice) == ["sent", "pending", "pending"]

    await site.jobs.run_all()
    assert len(office.ids) == len(set(office.ids)) == 3
    assert (await site.jobs.row(job_id)).processed_items == 3


async def test_what_a_job_had_under_way_waits_again_when_it_has_ended(
    site: Site, office: PostOffice
) -> None:
    """Its worker is gone, and then somebody cancels it: as after a crash, it may have been sent."""
    which = await remind(site.alice)
    job_id = await site.jobs.ask(SendReminders())
    await _claimed_by_a_worker_that_dies(site, job_id)
    assert await statuses(site.alice) == ["sending"]
    refused = await site.alice.delete(f"/reminders/{which}")
    assert refused.status_code == 409

    async with site.resources.db.transaction() as session:
        await Ledger(site.resources.db, site.jobs.queue).cancel(session, job_id, None)

    waits = await shown(site.alice, which)
    assert (waits["status"], waits["maybe_sent_twice"]) == ("pending", True)
    await site.jobs.run(SendReminders())
    assert (await shown(site.alice, which))["status"] == "sent"


async def _claimed_by_a_worker_that_dies(site: Site, job_id: UUID) -> None:
    """What stands in the tables when a worker was lost with one message under way."""
    async with site.resources.db.transaction() as session:
        assert await reminder_rows.claim(session, job_id, tuple(Channel)) is not None


async def test_a_retry_takes_back_what_its_first_attempt_had_under_way(
    site: Site, office: PostOffice
) -> None:
    for _ in range(2):
        await remind(site.alice)
    job_id = await site.jobs.ask(SendReminders())
    await _claimed_by_a_worker_that_dies(site, job_id)

    await site.jobs.run_all()

    items = (await site.alice.get("/reminders")).json()["items"]
    assert [item["status"] for item in items] == ["sent", "sent"]
    assert [item["maybe_sent_twice"] for item in items] == [False, True]
    assert len(set(office.ids)) == 2


async def test_a_cancelled_reminder_is_not_sent(site: Site, office: PostOffice) -> None:
    which, sent = await remind(site.alice), await remind(site.alice)
    for _ in range(2):  # twice is once
        assert (await site.alice.delete(f"/reminders/{which}")).status_code == 204

    await site.jobs.run(SendReminders())

    assert office.ids == [f"<reminder-{sent}@example.org>"]
    assert await statuses(site.alice) == ["cancelled", "sent"]
    assert (await site.alice.delete(f"/reminders/{sent}")).status_code == 409
    listed = (await site.alice.get("/reminders?status=cancelled")).json()
    assert ([item["id"] for item in listed["items"]], listed["total"]) == ([which], 1)
    assert (await site.alice.get("/reminders?status=lost")).status_code == 422


async def test_what_is_not_ones_own_is_not_there(site: Site) -> None:
    which = await remind(site.alice)
    note = (await site.alice.post("/notes", json={"title": "t", "content": "c"})).json()["id"]

    assert (await site.bob.delete(f"/reminders/{which}")).status_code == 404
    assert (await site.bob.get("/reminders")).json() == {"items": [], "total": 0}
    body = {"message": "m", "scheduled_at": wire(utcnow()), "channel": "log", "note_id": note}
    assert (await site.bob.post("/reminders", json=body)).status_code == 404
    assert (await site.alice.post("/reminders", json=body)).json()["note_id"] == note
    assert (await site.admin.get("/reminders")).json()["total"] == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scheduled_at": "2026-12-01T09:00:00"}, "scheduled_at"),
        ({"scheduled_at": "tomorrow"}, "scheduled_at"),
        ({"scheduled_at": 1_790_000_000}, "scheduled_at"),
        ({"scheduled_at": "9999-12-31T23:59:59-10:00"}, "scheduled_at"),
        ({"recipient": None}, "body"),
        ({"recipient": "ada@example.com\r\nBcc: eve@example.com"}, "recipient"),
        ({"recipient": "ada@example.com\n"}, "recipient"),
        ({"recipient": "ada@example.com, eve@example.com"}, "recipient"),
        ({"recipient": "Ada <ada@example.com>"}, "recipient"),
        ({"recipient": "eve@elsewhere.org"}, "recipient"),
        ({"channel": "pigeon"}, "channel"),
        ({"message": ""}, "message"),
        ({"message": "a\x00b"}, "message"),
        ({"note_id": "nonsense"}, "note_id"),
    ],
)
async def test_nonsense_is_refused(site: Site, changes: dict[str, Any], field: str) -> None:
    body = {"message": "m", "scheduled_at": wire(utcnow()), "channel": "email", "recipient": ADA}

    refused = await site.alice.post("/reminders", json=body | changes)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == field
    assert (await site.alice.get("/reminders")).json()["total"] == 0


async def test_an_admin_may_write_to_anybody(site: Site) -> None:
    await remind(site.admin, "eve@elsewhere.org")


@pytest.mark.parametrize("address", [ADA, "o'neill+x@mail.example-1.co.uk", "a@localhost"])
def test_plain_addresses_are_addresses(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    "address",
    ["", "ada", "@example.com", "ada@", "a b@example.com", "ada@exa mple.com", "ada@.com",
     "<ada@example.com>", "ädä@example.com", "ada@example.com.", "a" * 65 + "@example.com",
     "a@" + "b" * 254],
)  # fmt: skip
def test_anything_else_is_none(address: str) -> None:
    assert not is_address(address)
