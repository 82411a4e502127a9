"""Reading documents through the real worker, real children and real rows, on both databases."""

from collections.abc import Callable
from pathlib import Path

from app.documents.sample import make_pdf
from app.resources import Resources
from tests.documents.papers import (
    ask_again,
    document_of,
    harness,
    index_job,
    keep,
    newest_job,
    rows_of,
)
from tests.documents.strange import bytes_of, locked, made_of


async def test_a_document_becomes_ready_with_its_pages(
    resources: Resources, tmp_path: Path
) -> None:
    jobs = harness(resources)
    document_id = await keep(jobs, make_pdf(tmp_path / "a.pdf", ["first", "", "third"]))
    assert (await document_of(resources, document_id)).status == "uploaded"

    await jobs.run_all()
    document = await document_of(resources, document_id)
    row = await jobs.row(await newest_job(resources, document_id))

    assert (document.status, document.error_code, document.live_generation) == ("ready", None, 1)
    assert (document.page_count, document.pages_without_text, document.needs_ocr) == (3, 1, False)
    assert (row.status, row.total_items, row.processed_items, row.failed_items) == (
        ("completed", 3, 3, 0)
    )
    index = await index_job(resources, document_id)
    assert row.result == {"document_id": str(document_id), "next_job_id": str(index)}
    assert (await jobs.row(index)).parent_id == row.id
    assert (row.lane, row.owner_id) == (f"document:{document_id}", document.owner_id)
    assert await rows_of(resources, document_id) == [(1, 1, "first"), (1, 2, ""), (1, 3, "third")]


async def test_twice_is_once(resources: Resources, tmp_path: Path) -> None:
    jobs = harness(resources)
    document_id = await keep(jobs, make_pdf(tmp_path / "a.pdf", 7))
    first = await newest_job(resources, document_id)
    assert await ask_again(jobs, document_id) == first  # one run at a time
    await jobs.run_all()
    before = await rows_of(resources, document_id)

    second = await ask_again(jobs, document_id)
    assert (await document_of(resources, document_id)).status == "ready"
    await jobs.run_all()
    document = await document_of(resources, document_id)

    assert (document.status, document.live_generation) == ("ready", 2)
    assert await newest_job(resources, document_id) == second
    assert len(document.job_ids) == 4  # each with its index
    assert [row[1:] for row in await rows_of(resources, document_id)] == [r[1:] for r in before]


async def test_unreadable_pages_are_counted_and_named(resources: Resources, tmp_path: Path) -> None:
    jobs = harness(resources)
    path = made_of(tmp_path / "a.pdf", ["text", "damaged", "text", "damaged"])
    document_id = await keep(jobs, path)

    await jobs.run_all()
    document = await document_of(resources, document_id)
    row = await jobs.row(await newest_job(resources, document_id))

    assert (row.status, row.processed_items, row.failed_items) == ("completed", 2, 2)
    assert row.result == {
        "document_id": str(document_id),
        "next_job_id": str(await index_job(resources, document_id)),
        "failed_pages": [2, 4],
    }
    assert (document.status, document.error_code) == ("ready", "page_errors")
    assert document.error_message == "2 of 4 pages could not be read."
    assert document.pages_without_text == 2


async def test_a_page_that_kills_its_reader_fails_alone(
    resources: Resources, tmp_path: Path
) -> None:
    jobs = harness(resources)
    document_id = await keep(jobs, made_of(tmp_path / "a.pdf", ["text", "text", "bomb", "text"]))

    await jobs.run_all()
    document = await document_of(resources, document_id)
    row = await jobs.row(await newest_job(resources, document_id))

    assert (row.status, row.processed_items, row.failed_items) == ("completed", 3, 1)
    assert row.result["failed_pages"] == [3]  # type: ignore[index]
    assert (document.status, document.error_code) == ("ready", "page_errors")
    assert [text[:8] for _, _, text in await rows_of(resources, document_id)] == [
        "Readable",
        "Readable",
        "",
        "Readable",
    ]


async def test_scanned_pages_do_not_fail_the_document(resources: Resources, tmp_path: Path) -> None:
    jobs = harness(resources)
    whole = await keep(jobs, made_of(tmp_path / "a.pdf", ["scan", "scan"]))
    part = await keep(jobs, made_of(tmp_path / "b.pdf", ["text", "scan"]))

    await jobs.run_all()

    for document_id, code, without_text in ((whole, "needs_ocr", 2), (part, None, 1)):
        document = await document_of(resources, document_id)
        assert (document.status, document.error_code) == ("ready", code)
        assert (document.needs_ocr, document.pages_without_text) == (True, without_text)


REFUSED: dict[str, Callable[[Path], Path]] = {
    "password_required": locked,
    "not_a_pdf": lambda path: bytes_of(path, b"PK\x03\x04 a zip"),
    "corrupt": lambda path: bytes_of(path, b"%PDF-1.7\nand nothing more"),
    "no_pages": lambda path: make_pdf(path, 0),
    "no_text": lambda path: make_pdf(path, ["", " "]),
    "page_errors": lambda path: made_of(path, ["damaged", "blank"]),
    "hostile": lambda path: made_of(path, ["bomb"]),
}


async def test_what_cannot_be_read_ends_failed_with_its_reason(
    resources: Resources, tmp_path: Path
) -> None:
    jobs = harness(resources)
    ids = {code: await keep(jobs, make(tmp_path / code)) for code, make in REFUSED.items()}

    await jobs.run_all()

    for code, document_id in ids.items():
        document = await document_of(resources, document_id)
        row = await jobs.row(await newest_job(resources, document_id))
        assert (row.status, row.error_type, row.attempt) == ("failed", code, 1)
        assert (document.status, document.error_code) == ("failed", code)
        assert document.error_message == row.error_message
        assert document.live_generation is None


async def test_a_document_whose_file_is_lost_fails_and_says_so(
    resources: Resources, tmp_path: Path
) -> None:
    jobs = harness(resources)
    document_id = await keep(jobs, make_pdf(tmp_path / "a.pdf", 1))
    await resources.blobs.delete((await document_of(resources, document_id)).sha256)

    await jobs.run_all()

    assert (await document_of(resources, document_id)).error_code == "blob_missing"
