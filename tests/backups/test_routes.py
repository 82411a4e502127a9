"""Backups over HTTP, through the real application."""

from typing import Any
from uuid import uuid4

from tests.backups.house import add_message, sms
from tests.backups.site import Site, all_items

NAMES = {
    "photos", "conversations", "messages", "message_attachments", "whatsapp_chats",
    "whatsapp_messages", "whatsapp_attachments", "notes", "calendars", "events", "contacts",
}  # fmt: skip


async def test_a_backup_from_post_to_indexed(site: Site) -> None:
    ada = await site.user("ada")
    path = site.house.put("ada/phone")

    posted = await ada.post("/backups", json={"path": str(path), "name": "my phone"})

    body = posted.json()
    assert (posted.status_code, body["status"]) == (202, "queued")
    assert posted.headers["location"] == f"/jobs/{body['job_id']}"
    one = (await ada.get(f"/backups/{body['backup_id']}")).json()
    assert (one["id"], one["name"], one["status"]) == (body["backup_id"], "my phone", "REGISTERED")
    assert one["counts"] == dict.fromkeys(NAMES, 0)

    await site.house.jobs.run_all()

    one = (await ada.get(f"/backups/{body['backup_id']}")).json()
    assert (one["status"], one["device"], one["warnings"]) == ("INDEXED", "Sample iPhone", [])
    assert one["counts"]["messages"] == site.truth["messages"]
    assert one["counts"]["message_attachments"] == site.truth["attachments"]
    listed = (await ada.get("/backups")).json()
    assert listed == {"items": [one], "total": 1}
    assert set(one["counts"]) == NAMES


async def test_messages_and_conversations_have_every_field(site: Site) -> None:
    ada = await site.user("ada")
    backup_id = await site.indexed(ada, site.house.put("ada/phone"))

    chats = await all_items(ada, f"/backups/{backup_id}/conversations")
    messages = await all_items(ada, f"/backups/{backup_id}/messages")

    assert (len(chats), len(messages)) == (site.truth["conversations"], site.truth["messages"])
    assert set(chats[0]) == {
        "id", "guid", "service", "is_group", "title", "participants", "message_count",
        "last_message_at",
    }  # fmt: skip
    assert set(messages[0]) >= {
        "id", "guid", "conversation_id", "sent_at", "is_from_me", "sender", "sender_name",
        "service", "kind", "text", "subject", "reply_to_guid", "edited_at", "edits", "unsent",
        "deleted_at", "effect", "error_code", "reactions", "attachments",
    }  # fmt: skip
    assert sum(one["is_group"] for one in chats) == site.truth["groups"]
    assert set(chats[0]["participants"][0]) == {"handle", "name"}
    times = [one["sent_at"] for one in messages]
    assert times == sorted(times)
    assert all(len(time) == 27 and time.endswith("Z") for time in times)
    files = [file for one in messages for file in one["attachments"]]
    assert len(files) == site.truth["attachments"]
    assert set(files[0]) == {
        "filename", "mime_type", "size_bytes", "file_id", "file_present", "is_sticker",
    }  # fmt: skip
    edits = next(one["edits"] for one in messages if one["edits"])
    assert set(edits[0]) == {"text", "at"}
    assert len(edits[0]["at"]) == 27
    reaction = next(one["reactions"] for one in messages if one["reactions"])[0]
    assert set(reaction) == {"kind", "emoji", "sender", "is_from_me", "at"}


async def test_messages_of_one_conversation(site: Site) -> None:
    ada = await site.user("ada")
    backup_id = await site.indexed(ada, site.house.put("ada/phone"))
    url = f"/backups/{backup_id}/messages"
    (chat, *_) = await all_items(ada, f"/backups/{backup_id}/conversations")

    found = await ada.get(url, params={"conversation_id": chat["id"], "limit": 200})

    assert found.json()["total"] == chat["message_count"]
    assert {one["conversation_id"] for one in found.json()["items"]} == {chat["id"]}
    foreign = await ada.get(url, params={"conversation_id": str(uuid4())})
    assert foreign.json() == {"items": [], "total": 0}
    for bad in ({"limit": 0}, {"limit": 201}, {"offset": -1}, {"conversation_id": "7"}):
        assert (await ada.get(url, params=bad)).status_code == 422


async def test_ids_stay_when_the_backup_is_indexed_again(site: Site) -> None:
    ada = await site.user("ada")
    folder = site.house.put("ada/phone")
    backup_id = await site.indexed(ada, folder)
    before = await all_items(ada, f"/backups/{backup_id}/messages")
    add_message(folder)

    again = await ada.post(f"/backups/{backup_id}/index")
    assert again.status_code == 202
    assert again.json()["backup_id"] == backup_id
    assert (await ada.get(f"/backups/{backup_id}")).json()["status"] == "INDEXED"
    await site.house.jobs.run_all()

    after = await all_items(ada, f"/backups/{backup_id}/messages")
    assert len(after) == len(before) + 1
    assert {one["id"] for one in before} < {one["id"] for one in after}


async def test_what_is_not_ones_own_is_not_there(site: Site) -> None:
    ada, bob = await site.user("ada"), await site.user("bob")
    admin = await site.user("root", admin=True)
    backup_id = await site.indexed(ada, site.house.put("ada/phone"))

    for rest in ("", "/conversations", "/messages"):
        assert (await bob.get(f"/backups/{backup_id}{rest}")).status_code == 404
        assert (await admin.get(f"/backups/{backup_id}{rest}")).status_code == 200
    assert (await bob.post(f"/backups/{backup_id}/index")).status_code == 404
    assert (await bob.delete(f"/backups/{backup_id}")).status_code == 404
    assert (await bob.get("/backups")).json() == {"items": [], "total": 0}
    assert (await admin.get("/backups")).json()["total"] == 1


async def test_paths_that_may_not_be_named_are_all_refused_alike(site: Site) -> None:
    ada = await site.user("ada")
    mine, bobs = site.house.put("ada/phone"), site.house.put("bob/phone")
    (site.house.root / "ada/link").symlink_to(bobs)
    (site.house.root / "ada/file").write_text("x")
    paths = [bobs, mine / "../../bob/phone", mine.parent / "link", mine.parent / "missing", "/etc"]
    bodies: list[dict[str, Any]] = [{"path": str(path)} for path in paths]
    bodies += [{"path": "phone"}, {"path": str(mine.parent / "file")}]
    bodies += [{"artifacts": {"messages": str(sms(bobs))}}, {"artifacts": {"notes": str(mine)}}]

    answers = [await ada.post("/backups", json=body) for body in bodies]

    assert {answer.status_code for answer in answers} == {422}
    assert {(a.json()["code"], a.json()["detail"]) for a in answers} == {
        ("path_refused", "There is no backup of yours at this path.")
    }
    assert (await ada.get("/backups")).json()["total"] == 0


async def test_bodies_that_make_no_sense(site: Site) -> None:
    ada = await site.user("ada")
    bodies: list[dict[str, Any]] = [
        {},
        {"name": "neither"},
        {"path": "/a", "artifacts": {"messages": "/a"}},
        {"artifacts": {}},
        {"artifacts": {"diary": "/a"}},
        {"artifacts": {"messages": "/a", "sms.db": "/b"}},
        {"path": "/a", "password": "secret"},
        {"path": "/a", "name": " "},
        {"path": ""},
    ]

    assert [(await ada.post("/backups", json=body)).status_code for body in bodies] == [422] * 9


async def test_a_deleted_backup_is_gone_at_once_and_its_rows_soon(site: Site) -> None:
    ada = await site.user("ada")
    backup_id = await site.indexed(ada, site.house.put("ada/phone"))
    kept = await site.indexed(ada, site.house.put("ada/tablet"))
    stored = await site.house.stored()

    deleted = await ada.delete(f"/backups/{backup_id}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    for rest in ("", "/conversations", "/messages"):
        assert (await ada.get(f"/backups/{backup_id}{rest}")).status_code == 404
    assert await site.house.stored() == stored

    await site.house.jobs.run_all()

    assert await site.house.stored() == stored // 2
    assert (await ada.get(f"/backups/{kept}")).json()["counts"]["messages"] > 0
    assert (await ada.delete(f"/backups/{backup_id}")).status_code == 404


async def test_a_key_used_twice_makes_one_backup(site: Site) -> None:
    ada = await site.user("ada")
    body = {"path": str(site.house.put("ada/phone"))}

    first = await ada.post("/backups", json=body, headers={"Idempotency-Key": "k"})
    second = await ada.post("/backups", json=body, headers={"Idempotency-Key": "k"})

    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert (await ada.get("/backups")).json()["total"] == 1
