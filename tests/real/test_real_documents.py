"""PDFs that nobody here wrote, from the blob to the row: each ends in its class, on both databases."""

from app.documents.models import Document
from app.resources import Resources
from tests.databases import on_sqlite_and_when_there_is_time_on_postgresql
from tests.documents.papers import (
    chunk_rows,
    document_of,
    harness,
    keep,
    newest_job,
    rows_of,
    vectors_of,
)
from tests.real.pdf_classes import FOLDER, manifest, may_end_as, needs_pdfs

pytestmark = needs_pdfs


@on_sqlite_and_when_there_is_time_on_postgresql
async def test_every_file_ends_in_its_class(resources: Resources) -> None:
    jobs = harness(resources)
    ids = {entry["file"]: await keep(jobs, FOLDER / entry["file"]) for entry in manifest()}

    await jobs.run_all()

    unexpected = {}
    for entry in manifest():
        file = entry["file"]
        document = await document_of(resources, ids[file])
        row = await jobs.row(await newest_job(resources, ids[file]))
        found = _class_of(document)
        if found not in may_end_as(entry):
            unexpected[file] = found
        assert row.status == ("completed" if document.status == "ready" else "failed"), file
        assert (document.error_message is None) == (document.error_code is None), file
        if document.status == "ready":
            pages = await rows_of(resources, ids[file])
            assert [page[1] for page in pages] == list(range(1, (document.page_count or 0) + 1))
            text_of = {number: own for _, number, own in pages}
            chunks = await chunk_rows(resources, ids[file])
            assert len(chunks) == document.chunk_count
            for chunk in chunks:
                assert text_of[chunk.page_number][chunk.char_start : chunk.char_end] == chunk.text
            assert len(await vectors_of(resources, ids[file])) == len(chunks), file
    assert unexpected == {}


def _class_of(document: Document) -> str:
    assert document.status in ("ready", "failed")
    if document.status == "ready" and document.error_code in (None, "page_errors"):
        return "text"
    return str(document.error_code)
