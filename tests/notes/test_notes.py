"""Notes over HTTP: written, read, rewritten, deleted; and whose they are."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.core.clock import utcnow, wire
from tests.site import Site


async def write(client: httpx.AsyncClient, title: str = "Boat", content: str = "Paint it.") -> str:
    answer = await client.post("/notes", json={"title": title, "content": content})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/notes/{answer.json()['id']}"
    return str(answer.json()["id"])


async def test_a_note_is_kept_as_it_was_written(site: Site) -> None:
    which = await write(site.alice, "Ein Boot 🚤", "Zeile 1\nZeile 2\n")

    note = (await site.alice.get(f"/notes/{which}")).json()

    assert (note["title"], note["content"]) == ("Ein Boot 🚤", "Zeile 1\nZeile 2\n")
    assert note["created_at"] == note["updated_at"]


async def test_a_note_is_rewritten_whole(site: Site) -> None:
    which = await write(site.alice)

    answer = await site.alice.put(f"/notes/{which}", json={"title": "Ship", "content": ""})

    assert answer.status_code == 200
    note = (await site.alice.get(f"/notes/{which}")).json()
    assert note == answer.json()
    assert (note["title"], note["content"]) == ("Ship", "")
    assert note["created_at"] < note["updated_at"]


async def test_a_list_is_newest_first_and_only_ones_own(site: Site) -> None:
    ids = [await write(site.alice, str(number)) for number in range(3)]
    theirs = await write(site.bob)

    mine = (await site.alice.get("/notes?limit=2&offset=1")).json()
    everything = (await site.admin.get("/notes")).json()

    assert ([item["id"] for item in mine["items"]], mine["total"]) == ([ids[1], ids[0]], 3)
    assert (everything["total"], everything["items"][0]["id"]) == (4, theirs)


async def test_what_is_not_ones_own_is_not_there(site: Site) -> None:
    where = f"/notes/{await write(site.alice)}"
    body = {"title": "t", "content": "c"}

    for method, how in (("GET", {}), ("PUT", {"json": body}), ("DELETE", {})):
        answer = await site.bob.request(method, where, **how)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await site.alice.get(where)).status_code == 200
    assert (await site.admin.put(where, json=body)).status_code == 200
    assert (await site.alice.get("/notes/nonsense")).status_code == 422


async def test_deleted_means_gone_and_its_reminders_stay(site: Site) -> None:
    which = await write(site.alice)
    later = wire(utcnow() + timedelta(days=1))
    body = {"message": "m", "scheduled_at": later, "channel": "log", "note_id": which}
    await site.alice.post("/reminders", json=body)

    assert (await site.alice.delete(f"/notes/{which}")).status_code == 204

    assert (await site.alice.get(f"/notes/{which}")).status_code == 404
    assert (await site.alice.delete(f"/notes/{which}")).status_code == 404
    assert (await site.alice.get("/notes")).json() == {"items": [], "total": 0}
    (reminder,) = (await site.alice.get("/reminders")).json()["items"]
    assert (reminder["note_id"], reminder["status"]) == (None, "pending")


@pytest.mark.parametrize(
    "body",
    [{"title": "", "content": "c"}, {"title": "t"}, {"title": "t" * 501, "content": "c"},
     {"title": "t", "content": "\x00"}, {"title": "t", "content": "c", "more": 1}],
)  # fmt: skip
async def test_nonsense_is_refused(site: Site, body: dict[str, Any]) -> None:
    assert (await site.alice.post("/notes", json=body)).status_code == 422


async def test_a_repeated_request_with_its_key_writes_one_note(site: Site) -> None:
    how: dict[str, Any] = {
        "json": {"title": "t", "content": "c"},
        "headers": {"Idempotency-Key": "k"},
    }

    answers = [await site.alice.post("/notes", **how) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Location"] == answers[0].headers["Location"]
    assert (await site.alice.get("/notes")).json()["total"] == 1
