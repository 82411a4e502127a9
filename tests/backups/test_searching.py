"""`GET /search` over indexed backups."""

from typing import Any

import httpx

from tests.backups.house import add_message
from tests.backups.site import Site

ONE_OF_EACH = {  # what only one item of the sample says: its kind, and how to find it
    "whatsapp_message": "regatta lighthouse",
    "backup_note": "sourdough RYE",
    "photo": "fireflies",
    "event": "telescopes planetarium",
    "contact": "observatory",
}


async def search(client: httpx.AsyncClient, q: str, **params: Any) -> dict[str, Any]:
    answer = await client.get("/search", params={"q": q, "mode": "keyword", **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_one_of_each_domain_is_found_with_its_snippet(site: Site) -> None:
    ada = await site.user("ada")
    folder = site.house.put("ada/phone")
    add_message(folder, "zeppelin over the harbour")
    backup_id = await site.indexed(ada, folder)

    for kind, q in {**ONE_OF_EACH, "message": "zeppelins"}.items():
        found = await search(ada, q)

        assert (found["total"], found["mode"]) == (1, "keyword"), q
        (hit,) = found["results"]
        assert (hit["kind"], hit["backup_id"]) == (kind, backup_id)
        assert set(hit) >= {
            "kind", "id", "title", "snippet", "score", "timestamp", "backup_id", "document_id",
            "page_number",
        }  # fmt: skip
        marked = [hit["snippet"][one:two].lower() for one, two in hit["highlights"]]
        assert marked or kind == "event"
        (item,) = [
            one for one in (await site.items(ada, backup_id, kind)) if one["id"] == hit["id"]
        ]
        assert item


async def test_accents_case_word_forms_and_cjk_do_not_hide_anything(site: Site) -> None:
    ada = await site.user("ada")
    folder = site.house.put("ada/phone")
    for text in ("東京駅で会いましょう", "Crème brûlée für Zoë", "Привет из Москвы", "wow🎉party"):
        add_message(folder, text)
    await site.indexed(ada, folder)

    for q in ("京駅", "creme BRULEE", "привет москвы", "parties", '"brulee fur"', "москв*"):
        assert (await search(ada, q))["total"] == 1, q
    for q in ('"fur creme"', "駅京", "!!!", "🎉"):
        assert (await search(ada, q))["total"] == 0, q
    assert (await search(ada, "zeppelin OR brulee"))["total"] == 1
    assert (await search(ada, "Where are the crèmes of the zeppelin?"))["total"] == 1  # any word
    assert (await search(ada, "brulee -creme"))["total"] == 0


async def test_filters_pages_and_owners(site: Site) -> None:
    ada, bob = await site.user("ada"), await site.user("bob")
    admin = await site.user("root", admin=True)
    first = await site.indexed(ada, site.house.put("ada/phone"))
    second = await site.indexed(ada, site.house.put("ada/tablet"))

    both = await search(ada, "station", limit=200)
    one = await search(ada, "station", backup_id=first, limit=200)
    messages = await search(ada, "station", kind="message", limit=200)

    assert both["total"] == 2 * one["total"] > 0
    assert {hit["backup_id"] for hit in one["results"]} == {first}
    assert {hit["kind"] for hit in messages["results"]} == {"message"}
    scores = [hit["score"] for hit in both["results"]]
    assert scores == sorted(scores, reverse=True)
    pages = [await search(ada, "station", limit=7, offset=at) for at in (0, 7)]
    assert [hit["id"] for page in pages for hit in page["results"]] == [
        hit["id"] for hit in both["results"][:14]
    ]
    assert (await search(bob, "station"))["total"] == 0
    assert (await search(bob, "station", backup_id=first))["total"] == 0
    assert (await search(admin, "station"))["total"] == both["total"]
    await ada.delete(f"/backups/{second}")
    assert (await search(ada, "station"))["total"] == one["total"]


async def test_tapbacks_and_placeholders_are_never_found(site: Site) -> None:
    ada = await site.user("ada")
    await site.indexed(ada, site.house.put("ada/phone"))

    for q in ("loved", "liked", "laughed", "reacted", "\ufffc"):
        assert (await search(ada, q))["total"] == 0, q


async def test_people_are_found_by_their_names(site: Site) -> None:
    ada = await site.user("ada")
    await site.indexed(ada, site.house.put("ada/phone"))

    found = await search(ada, "hopper", kind="message", limit=200)

    assert found["total"] > 20
    assert {hit["person"] for hit in found["results"]} == {"Grace Hopper"}


async def test_what_makes_no_sense_is_refused(site: Site) -> None:
    ada = await site.user("ada")

    bad: list[dict[str, Any]] = [
        {}, {"q": ""}, {"q": "x" * 1001}, {"q": "x", "kind": "diary"}, {"q": "x", "mode": "psychic"},
        {"q": "x", "limit": 0}, {"q": "x", "backup_id": "7"},
    ]  # fmt: skip
    for params in bad:
        assert (await ada.get("/search", params=params)).status_code == 422, params
    odd = '") OR 1=1 -- \x00 NEAR( ^ {a b}: *'
    assert (await search(ada, odd))["total"] == 0
    hybrid = await ada.get("/search", params={"q": "x"})
    assert hybrid.json() == {"results": [], "total": 0, "mode": "keyword"}
