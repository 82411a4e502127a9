"""Notes in `GET /search`: by their words and by their meaning, always as they are now."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.notes import search
from app.search.routes import router as searching
from tests.notes.shelf import Model, hurry, regenerate, with_model
from tests.notes.test_notes import write
from tests.site import Site


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def found_by(site: Site, model: Model) -> Any:
    """`await found_by(client, q, **how)`: the titles that a search finds, best first."""
    services = site.app.state.services
    services.resources = replace(services.resources, embedder=model)
    site.app.include_router(searching)

    async def find(client: httpx.AsyncClient, q: str, **how: Any) -> list[str]:
        answer = await client.get("/search", params={"q": q, **how})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert all(result["kind"] == "note" for result in body["results"])
        assert body["total"] >= len(body["results"])
        return [result["title"] for result in body["results"]]

    return find


async def test_words_are_found_in_any_form_and_titles_count_more(site: Site, found_by: Any) -> None:
    await write(site.alice, "Shopping", "varnish for the boats, and paint")
    await write(site.alice, "Boats", "the hull")
    await write(site.alice, "Café", "Crème brûlée")
    await write(site.alice, "東京", "来週は京都に行きます")

    assert await found_by(site.alice, "boat", mode="keyword") == ["Boats", "Shopping"]
    assert await found_by(site.alice, "boat -varnish", mode="keyword") == ["Boats"]
    assert await found_by(site.alice, "CREME cafe", mode="keyword") == ["Café"]
    assert await found_by(site.alice, "京都", mode="keyword") == ["東京"]
    assert await found_by(site.alice, "nothing", mode="keyword") == []
    assert await found_by(site.alice, "...", mode="keyword") == []


async def test_a_rewritten_or_deleted_note_is_found_as_it_is_now(site: Site, found_by: Any) -> None:
    which = await write(site.alice, "Old", "walrus")
    await site.alice.put(f"/notes/{which}", json={"title": "New", "content": "penguin"})

    assert await found_by(site.alice, "walrus", mode="keyword") == []
    assert await found_by(site.alice, "penguin", mode="keyword") == ["New"]

    await site.alice.delete(f"/notes/{which}")
    assert await found_by(site.alice, "penguin", mode="keyword") == []


async def test_a_search_is_of_ones_own_notes(site: Site, found_by: Any, model: Model) -> None:
    await write(site.alice, "Mine", "walrus")
    await write(site.bob, "Theirs", "walrus")
    await hurry(site)
    await with_model(site, model).run_all()

    for mode in ("keyword", "semantic", "hybrid"):
        assert await found_by(site.alice, "walrus", mode=mode) == ["Mine"]
        assert await found_by(site.bob, "walrus", mode=mode) == ["Theirs"]
        assert sorted(await found_by(site.admin, "walrus", mode=mode)) == ["Mine", "Theirs"]
    other = "019aa7c2-5c1f-7b52-9d3e-3f8f6f0f2a11"
    assert await found_by(site.alice, "walrus", backup_id=other) == []


async def test_the_nearest_meaning_comes_first_and_an_old_one_not_at_all(
    site: Site, found_by: Any, model: Model
) -> None:
    for title, content in (("zzzz", "zz"), ("aaaa", "aa"), ("aazz", "az")):
        await write(site.alice, title, content)
    assert await found_by(site.alice, "aaaaaa", mode="semantic") == []  # nothing is embedded yet
    await regenerate(site)
    await hurry(site)
    await with_model(site, model).run_all()

    assert await found_by(site.alice, "aaaaaa", mode="semantic") == ["aaaa", "aazz", "zzzz"]
    assert await found_by(site.alice, "aaaaaa", mode="semantic", limit=1) == ["aaaa"]

    (first,) = [
        item["id"]
        for item in (await site.alice.get("/notes")).json()["items"]
        if item["title"] == "aaaa"
    ]
    await site.alice.put(f"/notes/{first}", json={"title": "qqqq", "content": "qq"})
    assert await found_by(site.alice, "aaaaaa", mode="semantic") == ["aazz", "zzzz"]


async def test_vectors_of_another_model_are_not_searched(
    site: Site, found_by: Any, model: Model
) -> None:
    await write(site.alice, "aaaa", "aa")
    await hurry(site)
    await with_model(site, Model(name="older")).run_all()

    assert await found_by(site.alice, "aaaa", mode="semantic") == []
    model.refused = {""}
    assert await found_by(site.alice, "aaaa") == ["aaaa"]  # the words are found all the same


def test_the_kind_is_the_contracts() -> None:
    assert frozenset({"note"}) == search.KINDS
