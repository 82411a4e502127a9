"""Documents over HTTP: lists, pages, reindexing, deleting, and who may."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.documents import reading as rooms
from app.documents.sample import make_pdf
from app.jobs.engines.inline import run_all
from app.settings import Settings
from tests.documents.papers import rows_of
from tests.documents.site import Site, open_site


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    async with open_site(settings) as opened:
        yield opened


@pytest.fixture
async def sent(site: Site, tmp_path: Path) -> dict[str, Any]:
    """What the upload of a document of 30 pages was answered."""
    answer: dict[str, Any] = (await site.send(make_pdf(tmp_path / "a.pdf", 30))).json()
    return answer


async def test_pages_are_there_once_the_run_has_ended(site: Site, sent: dict[str, Any]) -> None:
    where = f"/documents/{sent['document_id']}"
    assert (await site.alice.get(f"{where}/pages")).json() == {"items": [], "total": 0}

    await site.jobs.run_all()
    pages = (await site.alice.get(f"{where}/pages?limit=10&offset=25")).json()

    assert pages["total"] == 30
    assert [page["page_number"] for page in pages["items"]] == [26, 27, 28, 29, 30]
    assert "page 26 of 30" in pages["items"][0].pop("text")
    assert pages["items"][0] == {
        "page_number": 26,
        "has_text": True,
        "needs_ocr": False,
        "error": None,
    }


async def test_chunks_are_slices_of_their_pages(site: Site, sent: dict[str, Any]) -> None:
    where = f"/documents/{sent['document_id']}"
    assert (await site.alice.get(f"{where}/chunks")).json() == {"items": [], "total": 0}

    await site.jobs.run_all()
    chunks = (await site.alice.get(f"{where}/chunks?limit=10&offset=25")).json()
    pages = (await site.alice.get(f"{where}/pages?limit=200")).json()["items"]

    assert (await site.alice.get(where)).json()["chunk_count"] == chunks["total"] == 30
    assert [chunk["page_number"] for chunk in chunks["items"]] == [26, 27, 28, 29, 30]
    for chunk in chunks["items"]:
        text = pages[chunk["page_number"] - 1]["text"]
        assert text[chunk["char_start"] : chunk["char_end"]] == chunk["text"]
    assert (await site.bob.get(f"{where}/chunks")).status_code == 404


async def test_reading_again_keeps_the_old_pages_until_the_end(
    site: Site, sent: dict[str, Any]
) -> None:
    where = f"/documents/{sent['document_id']}"
    running = await site.alice.post(f"{where}/reindex")
    assert running.json()["job_id"] == sent["job_id"]
    await site.jobs.run_all()

    answer = await site.alice.post(f"{where}/reindex")
    before = (await site.alice.get(where)).json()
    assert (answer.status_code, answer.json()["document_id"]) == (202, sent["document_id"])
    assert [before["jobs"][0], before["jobs"][-1]] == [answer.json()["job_id"], sent["job_id"]]
    assert before["status"] == "ready"
    assert len((await site.alice.get(f"{where}/pages?limit=200")).json()["items"]) == 30

    await site.jobs.run_all()
    assert len(await rows_of(site.resources, sent["document_id"])) == 30


async def test_a_list_is_newest_first_and_only_ones_own(
    site: Site, sent: dict[str, Any], tmp_path: Path
) -> None:
    later = (await site.send(make_pdf(tmp_path / "b.pdf", 1))).json()["document_id"]
    theirs = await site.send(make_pdf(tmp_path / "c.pdf", 1), to=site.bob)

    mine = (await site.alice.get("/documents")).json()
    second = (await site.alice.get("/documents?limit=1&offset=1")).json()
    everything = (await site.admin.get("/documents")).json()

    assert [item["id"] for item in mine["items"]] == [later, sent["document_id"]]
    assert ([item["id"] for item in second["items"]], second["total"]) == (
        [sent["document_id"]],
        2,
    )
    assert everything["total"] == 3
    assert everything["items"][0]["id"] == theirs.json()["document_id"]


async def test_what_is_not_ones_own_is_not_there(site: Site, sent: dict[str, Any]) -> None:
    where = f"/documents/{sent['document_id']}"
    asked = [("GET", ""), ("GET", "/pages"), ("GET", "/chunks"), ("POST", "/reindex")]

    for method, rest in [*asked, ("DELETE", "")]:
        answer = await site.bob.request(method, where + rest)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), rest
    assert (await site.alice.get(where)).status_code == 200
    assert (await site.alice.get("/documents/nonsense")).status_code == 422
    assert (await site.alice.get(f"{where}/pages?limit=0")).status_code == 422


async def test_deleted_means_gone(site: Site, sent: dict[str, Any]) -> None:
    where = f"/documents/{sent['document_id']}"
    await site.jobs.run_all()
    assert site.files

    assert (await site.alice.delete(where)).status_code == 204

    for rest in ("", "/pages", "/chunks"):
        assert (await site.alice.get(where + rest)).status_code == 404
    assert (await site.alice.delete(where)).status_code == 404
    assert (await site.alice.post(f"{where}/reindex")).status_code == 404
    assert (await site.alice.get("/documents")).json() == {"items": [], "total": 0}

    await site.jobs.run_all()
    assert (await rows_of(site.resources, sent["document_id"]), site.files) == ([], [])


async def test_a_queued_run_of_a_deleted_document_is_cancelled(
    site: Site, sent: dict[str, Any]
) -> None:
    await site.alice.delete(f"/documents/{sent['document_id']}")

    assert (await site.jobs.row(sent["job_id"])).status == "cancelled"


async def test_deleting_stops_the_run_and_leaves_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "BATCH_PAGES", 5)
    sent = (await site.send(make_pdf(tmp_path / "long.pdf", 2_000))).json()
    jobs = site.jobs
    running = asyncio.create_task(run_all(jobs.worker()))
    async with asyncio.timeout(10):
        while not (await jobs.row(sent["job_id"])).processed_items:
            await asyncio.sleep(0.001)

    answer = await site.alice.delete(f"/documents/{sent['document_id']}")
    await running  # the purge waits behind the run in the document's lane
    row = await jobs.row(sent["job_id"])

    assert (answer.status_code, row.status) == (204, "cancelled")
    assert row.processed_items < 2_000
    assert (await rows_of(site.resources, sent["document_id"]), site.files) == ([], [])


async def test_the_same_file_can_be_sent_again_after_its_deletion(
    site: Site, sent: dict[str, Any], tmp_path: Path
) -> None:
    await site.alice.delete(f"/documents/{sent['document_id']}")

    again = await site.send(tmp_path / "a.pdf")
    await site.jobs.run_all()  # the purge too

    assert again.status_code == 202
    shown = (await site.alice.get(f"/documents/{again.json()['document_id']}")).json()
    assert (shown["status"], shown["page_count"]) == ("ready", 30)
