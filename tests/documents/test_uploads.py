"""Uploads over HTTP: what is kept, what is refused, and that nothing is left of the latter."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.documents import uploads
from app.documents.sample import make_pdf
from app.documents.uploads import safe_name
from tests.conftest import MakeSettings
from tests.documents.papers import document_of
from tests.documents.site import Site, form, open_site

CAP = 20_000


@pytest.fixture
async def site(make_settings: MakeSettings) -> AsyncIterator[Site]:
    async with open_site(make_settings(max_upload_bytes=CAP)) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_pdf(tmp_path / "a.pdf", 3)


async def test_an_upload_is_accepted_and_read(site: Site, path: Path) -> None:
    answer = await site.send(path)
    body = answer.json()

    assert answer.status_code == 202
    assert (body["status"], body["task_id"]) == ("queued", body["job_id"])
    assert (answer.headers["location"], answer.headers["retry-after"]) == (
        f"/jobs/{body['job_id']}",
        "1",
    )

    await site.jobs.run_all()
    shown = (await site.alice.get(f"/documents/{body['document_id']}")).json()
    assert (shown["status"], shown["filename"], shown["page_count"]) == ("ready", "a.pdf", 3)
    assert (shown["jobs"][1:], shown["chunk_count"]) == ([body["job_id"]], 3)
    assert [file.name for file in site.files] == [shown["sha256"]]


async def test_the_same_bytes_are_the_same_document(site: Site, path: Path) -> None:
    first = (await site.send(path)).json()
    again = await site.send(path)
    theirs = await site.send(path, to=site.bob)

    assert (again.status_code, again.json()["document_id"]) == (200, first["document_id"])
    assert again.json()["job_id"] == first["job_id"]
    assert (theirs.status_code, len(site.files)) == (202, 1)
    assert theirs.json()["document_id"] != first["document_id"]


async def test_the_same_bytes_again_are_a_new_run_after_a_failure(
    site: Site, tmp_path: Path
) -> None:
    blank = make_pdf(tmp_path / "blank.pdf", [""])
    first = (await site.send(blank)).json()
    await site.jobs.run_all()

    again = await site.send(blank)

    assert again.status_code == 202
    assert again.json()["document_id"] == first["document_id"]
    assert again.json()["job_id"] != first["job_id"]
    shown = (await site.alice.get(f"/documents/{first['document_id']}")).json()
    assert (shown["status"], shown["error_code"]) == ("uploaded", None)
    assert shown["jobs"] == [again.json()["job_id"], first["job_id"]]


async def test_many_uploads_of_the_same_bytes_at_once_are_one_document(
    site: Site, path: Path
) -> None:
    answers = await asyncio.gather(*(site.send(path) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [202]
    assert len({answer.json()["document_id"] for answer in answers}) == 1
    assert (await site.alice.get("/documents")).json()["total"] == 1


async def test_a_key_is_for_one_file_under_one_name(site: Site, path: Path, tmp_path: Path) -> None:
    key = {"Idempotency-Key": "one"}
    other = make_pdf(tmp_path / "b.pdf", 4)
    first = await site.alice.post("/documents", files=form(path), headers=key)
    again = await site.alice.post("/documents", files=form(path), headers=key)
    renamed = await site.alice.post("/documents", files=form(path, "b.pdf"), headers=key)
    changed = await site.alice.post("/documents", files=form(other, "a.pdf"), headers=key)

    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert [renamed.status_code, changed.status_code] == [422, 422]
    assert len(site.files) == 1  # nothing is left of the other file


async def test_what_is_no_pdf_is_415_and_not_kept(site: Site) -> None:
    for content in (b"", b"PK\x03\x04 a zip", b" " * 1020 + b"%PDF-1.7"):
        answer = await site.alice.post("/documents", files={"file": ("a.pdf", content)})

        assert (answer.status_code, answer.json()["code"]) == (415, "not_a_pdf")
        assert site.files == []


@pytest.mark.parametrize("declared", [True, False])
async def test_over_the_cap_is_413_and_not_kept(site: Site, declared: bool) -> None:
    for size in (CAP + 1, CAP + uploads.FORM_BYTES + 1):
        files = {"file": ("a.pdf", b"%PDF-1.7".ljust(size))}
        request = site.alice.build_request("POST", "/documents", files=files)
        if not declared:
            del request.headers["content-length"]

        answer = await site.alice.send(request)

        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert site.files == []


async def test_what_is_declared_over_the_cap_is_refused_unread(site: Site) -> None:
    read: list[bytes] = []

    async def noted() -> AsyncIterator[bytes]:
        read.append(b"--x")
        yield b"--x"

    size = str(CAP + uploads.FORM_BYTES + 1)
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": size}
    answer = await site.alice.post("/documents", content=noted(), headers=headers)

    assert (answer.status_code, answer.json()["code"], read) == (413, "too_large", [])


async def test_the_cap_itself_is_allowed(site: Site) -> None:
    content = b"%PDF-1.7".ljust(CAP)

    assert (await site.alice.post("/documents", files={"file": content})).status_code == 202


BROKEN: dict[str, dict[str, Any]] = {
    "no file": {"files": {"other": b"%PDF-"}},
    "two files": {"files": [("file", b"%PDF-1.7"), ("file", b"%PDF-1.7")]},
    "cut": {"content": b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n%PDF-1.7'},
    "no parts": {"content": b"%PDF-1.7"},
}


async def test_a_broken_form_is_422_and_leaves_nothing(site: Site) -> None:
    form_type = {"Content-Type": "multipart/form-data; boundary=x"}
    for how, request in BROKEN.items():
        headers = form_type if "content" in request else {}

        answer = await site.alice.post("/documents", headers=headers, **request)

        assert (answer.status_code, site.files) == (422, []), how


async def test_no_form_at_all_is_415(site: Site) -> None:
    answers = [
        await site.alice.post("/documents", json={"file": "a.pdf"}),
        await site.alice.post("/documents", content=b"%PDF", headers={"Content-Type": "a/b"}),
        await site.alice.post("/documents"),
    ]

    assert [answer.status_code for answer in answers] == [415] * 3


async def test_a_client_that_goes_away_leaves_nothing(site: Site) -> None:
    begun = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n%PDF-1.7'
    told: list[dict[str, Any]] = [
        {"type": "http.request", "body": begun.ljust(5_000), "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return told.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {**site.alice.headers, "content-type": "multipart/form-data; boundary=x"}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/documents", "headers": raw}
    scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "raw_path": b""}
    await site.app(scope, receive, send)

    assert sent[0]["status"] == 422
    assert site.files == []
    assert (await site.alice.get("/documents")).json()["total"] == 0


async def test_an_upload_while_the_file_is_being_deleted_is_told_to_come_back(
    site: Site, path: Path
) -> None:
    class Forgetful:
        """A store from which every file is deleted at once."""

        async def put(self, *args: Any, **more: Any) -> Any:
            blob = await blobs.put(*args, **more)
            await blobs.delete(blob.sha256)
            return blob

        def __getattr__(self, name: str) -> Any:
            return getattr(blobs, name)

    blobs = site.resources.blobs
    object.__setattr__(site.resources, "blobs", Forgetful())

    answer = await site.send(path)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (await site.alice.get("/documents")).json()["total"] == 0


async def test_a_file_may_come_in_any_pieces(site: Site, path: Path) -> None:
    request = site.alice.build_request("POST", "/documents", files=form(path, "übung.pdf"))
    body = await request.aread()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    kind = {"Content-Type": request.headers["content-type"]}
    answer = await site.alice.post("/documents", content=pieces(), headers=kind)
    document = await document_of(site.resources, answer.json()["document_id"])

    assert (answer.status_code, document.filename) == (202, "übung.pdf")
    async with site.resources.blobs.path(document.sha256) as stored:
        assert stored.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.pdf", "a.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a b.pdf", "a b.pdf"),
        ("a\x00\r\n\x1b[31mb\u202efdp.pdf", "a[31mbfdp.pdf"),
        ("  two \u00a0 words .pdf ", "two words .pdf"),
        ("", "document.pdf"),
        ("..", "document.pdf"),
        ("folder/", "document.pdf"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
        ("y" * 300, "y" * 255),
    ],
)
def test_a_name_is_safe_to_show(given: str, kept: str) -> None:
    assert safe_name(given) == kept


def test_a_name_may_be_given_in_the_extended_form() -> None:
    disposition = b"form-data; name=\"file\"; filename*=UTF-8''%C3%BC%20a.pdf; x=y"

    assert uploads._extended(disposition) == "ü a.pdf"
    assert uploads._extended(b'form-data; name="file"') == ""
