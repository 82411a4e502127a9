"""GET /search over documents, with the real model, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.documents.sample import make_pdf
from app.settings import Settings
from tests.documents.site import Site, open_site

PAGES = [
    "The heating of the greenhouse is regulated by a thermostat near the door.",
    "Payment is due within thirty days. Late payments bear interest.",
    "",
    "Der Vertrag kann mit einer Frist von drei Monaten zum Jahresende gekündigt werden.",
]


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    async with open_site(settings) as opened:
        yield opened


@pytest.fixture
async def sent(site: Site, tmp_path: Path) -> dict[str, Any]:
    """A document of Alice's, indexed with the model that the application has."""
    answer = await site.send(make_pdf(tmp_path / "lease.pdf", PAGES, title="Lease"))
    await site.real_jobs.run_all()
    body: dict[str, Any] = answer.json()
    return body


async def test_a_page_is_found_by_words_by_pieces_and_by_meaning(
    site: Site, sent: dict[str, Any]
) -> None:
    for question, page, mode in (
        ("thermostat", 1, "hybrid"),
        ("When must an invoice be settled?", 2, "hybrid"),
        ("kündigen vertrag wann", 4, "keyword"),
        ("vertrages", 4, "hybrid"),
    ):
        found = await _search(site, question)
        first = found["results"][0]
        assert (question, first["page_number"], found["mode"]) == (question, page, mode)
        assert (first["kind"], first["title"]) == ("document", "Lease")
        assert first["document_id"] == sent["document_id"]


async def test_modes_answer_alone(site: Site, sent: dict[str, Any]) -> None:
    keyword = await _search(site, "invoice settlement", mode="keyword")
    semantic = await _search(site, "invoice settlement", mode="semantic")

    assert (keyword["mode"], semantic["mode"]) == ("keyword", "semantic")
    assert semantic["results"][0]["page_number"] == 2
    assert (await _search(site, "thermostat", mode="keyword"))["total"] == 1


async def test_a_page_comes_once_with_its_snippet(site: Site, sent: dict[str, Any]) -> None:
    found = await _search(site, "thermostat door")

    places = [(hit["document_id"], hit["page_number"]) for hit in found["results"]]
    assert len(places) == len(set(places)) <= found["total"]
    first = found["results"][0]
    shown = [first["snippet"][begin:end] for begin, end in first["highlights"]]
    assert shown == ["thermostat", "door"]
    chunks = (await site.alice.get(f"/documents/{sent['document_id']}/chunks")).json()["items"]
    assert first["id"] in {chunk["chunk_id"] for chunk in chunks}


async def test_pages_of_results_follow_one_another(site: Site, sent: dict[str, Any]) -> None:
    whole = await _search(site, "payment thermostat", limit=3)
    parts = [await _search(site, "payment thermostat", limit=1, offset=n) for n in range(3)]

    assert [part["results"][0]["id"] for part in parts] == [hit["id"] for hit in whole["results"]]


async def test_others_find_nothing_and_filters_narrow(
    site: Site, sent: dict[str, Any], tmp_path: Path
) -> None:
    other = await site.send(make_pdf(tmp_path / "other.pdf", ["A thermostat too."]), to=site.bob)
    await site.real_jobs.run_all()

    assert await _documents(site.alice, "thermostat") == {sent["document_id"]}
    assert await _documents(site.bob, "thermostat") == {other.json()["document_id"]}
    assert len(await _documents(site.admin, "thermostat")) == 2
    only = {"document_id": sent["document_id"]}
    assert await _documents(site.admin, "thermostat", **only) == {sent["document_id"]}
    assert await _documents(site.alice, "thermostat", kind="message") == set()
    assert await _documents(site.alice, "thermostat", backup_id=sent["document_id"]) == set()


async def test_deleted_is_gone_at_the_next_question(site: Site, sent: dict[str, Any]) -> None:
    assert await _documents(site.alice, "thermostat")

    await site.alice.delete(f"/documents/{sent['document_id']}")

    found = await _search(site, "thermostat")
    assert (found["results"], found["total"]) == ([], 0)
    assert await _documents(site.alice, "thermostat", mode="semantic") == set()
    await site.real_jobs.run_all()
    assert (await _search(site, "thermostat"))["total"] == 0


async def test_what_was_refused_is_left_out(site: Site, sent: dict[str, Any]) -> None:
    assert len((await _search(site, "payment", mode="keyword"))["results"]) == 1
    for mode in ("keyword", "hybrid", "semantic"):  # a vector knows no "not"
        assert (await _search(site, "payment -interest", mode=mode))["results"] == []


@pytest.mark.parametrize("question", ["-", '"', "a\0b", "' OR 1=1 --", "NEAR(a b)", "x" * 999, "*"])
async def test_odd_questions_are_answered(site: Site, sent: dict[str, Any], question: str) -> None:
    answer = await site.alice.get("/search", params={"q": question})

    assert answer.status_code == 200


async def _search(site: Site, question: str, **params: Any) -> dict[str, Any]:
    answer = await site.alice.get("/search", params={"q": question, **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _documents(client: Any, question: str, **params: Any) -> set[str]:
    answer = await client.get("/search", params={"q": question, **params})
    return {hit["document_id"] for hit in answer.json()["results"]}
