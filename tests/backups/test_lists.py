"""The lists of what is in a backup: every field, resolved people, one chat or all."""

from typing import Any
from uuid import uuid4

import pytest

from tests.backups.site import Site, all_items

FIELDS = {
    "photos": """id uuid filename directory kind subtype taken_at time_zone_offset_seconds added_at
        width height duration_seconds latitude longitude place favorite hidden trashed albums title
        caption keywords people file_id file_present file_size_bytes""",
    "conversations": "id guid service is_group title participants message_count last_message_at",
    "messages": """id guid conversation_id sent_at is_from_me sender sender_name service kind text
        subject reply_to_guid edited_at edits unsent deleted_at effect error_code reactions
        attachments""",
    "whatsapp-chats": "id jid kind title participants archived message_count last_message_at",
    "whatsapp-messages": """id stanza_id chat_id sent_at is_from_me sender_jid sender_name kind
        raw_type text reply_to_stanza_id starred status latitude longitude reactions attachments""",
    "notes": """id identifier title text snippet folder account created_at modified_at pinned locked
        trashed shared tags attachments""",
    "calendars": "id uuid title color source",
    "events": """id uid calendar_id title description location starts_at ends_at all_day floating
        time_zone status rrule exdates recurrence_id url organizer attendees alarms""",
    "contacts": """id guid display_name first_name last_name middle_name nickname organization
        department job_title birthday note phones emails addresses urls social related groups
        source linked_ids""",
}


@pytest.fixture
async def lists(site: Site) -> dict[str, list[dict[str, Any]]]:
    ada = await site.user("ada")
    backup_id = await site.indexed(ada, site.house.put("ada/phone"))
    counts = (await ada.get(f"/backups/{backup_id}")).json()["counts"]
    found = {name: await all_items(ada, f"/backups/{backup_id}/{name}") for name in FIELDS}
    for name, items in found.items():
        assert len(items) == counts[name.replace("-", "_")] > 0, name
        assert len({one["id"] for one in items}) == len(items)
    return found


async def test_every_list_has_every_field_and_says_who_people_are(
    lists: dict[str, list[dict[str, Any]]],
) -> None:
    for name, fields in FIELDS.items():
        for item in lists[name]:
            assert set(fields.split()) <= set(item), name
    senders = {one["sender_name"] for one in lists["messages"] if not one["is_from_me"]}
    assert senders >= {"Ada Lovelace", "José Álvarez", "Bo Diddley"}
    assert None not in senders
    people = {p["name"] for one in lists["conversations"] for p in one["participants"]}
    assert people == senders
    titles = {one["title"] for one in lists["whatsapp-chats"]}
    assert {"Ada Lovelace", "Sailing club"} <= titles
    assert {one["sender_name"] for one in lists["whatsapp-messages"]} >= {
        "Ada Lovelace",
        "~Skipper",
    }
    _events(lists["events"], lists["calendars"])
    _cards(lists["contacts"])


def _events(events: list[dict[str, Any]], calendars: list[dict[str, Any]]) -> None:
    evening = next(one for one in events if one["title"] == "Telescope evening")
    assert evening["rrule"].startswith("FREQ=WEEKLY")
    assert len(evening["exdates"]) == 1
    assert evening["starts_at"].endswith("Z")
    assert evening["location"].startswith("City Planetarium")
    assert evening["alarms"] == [{"offset_seconds": -900, "at": None}]
    assert evening["attendees"] == [
        {"name": "Grace Hopper", "email": "grace@example.com", "status": "accepted"}
    ]
    assert evening["calendar_id"] in {one["id"] for one in calendars}
    floating = [one for one in events if one["floating"]]
    assert floating
    assert all(one["all_day"] and one["starts_at"][-1].isdigit() for one in floating)


def _cards(contacts: list[dict[str, Any]]) -> None:
    ada = next(one for one in contacts if one["display_name"] == "Ada Lovelace")
    assert ada["phones"] == [{"label": "Mobile", "value": "+15550100000"}]
    assert ada["addresses"][0]["city"] == "Lisbon"
    assert ada["groups"] == ["Lake house"]
    assert ada["note"] == "met at the observatory"


async def test_whatsapp_messages_of_one_chat(site: Site) -> None:
    ada = await site.user("ada")
    backup_id = await site.indexed(ada, site.house.put("ada/phone"))
    chat = (await all_items(ada, f"/backups/{backup_id}/whatsapp-chats"))[0]
    url = f"/backups/{backup_id}/whatsapp-messages"

    found = (await ada.get(url, params={"chat_id": chat["id"], "limit": 200})).json()

    assert found["total"] == chat["message_count"] == len(found["items"])
    assert {one["chat_id"] for one in found["items"]} == {chat["id"]}
    foreign = await ada.get(url, params={"chat_id": str(uuid4())})
    assert foreign.json() == {"items": [], "total": 0}


async def test_another_users_lists_are_not_there(site: Site) -> None:
    ada, bob = await site.user("ada"), await site.user("bob")
    backup_id = await site.indexed(ada, site.house.put("ada/phone"))

    for name in FIELDS:
        assert (await bob.get(f"/backups/{backup_id}/{name}")).status_code == 404
