"""What is read from PDFs: called directly, and once through the pool of children."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.processes import ChildDied, Refused
from app.documents import pdf
from app.documents.extraction import pdf_children
from app.documents.sample import make_pdf, stream, write_objects

SHEET = "/MediaBox [0 0 600 800]"
RED_DOT = stream(
    b"\xff\x00\x00",
    "/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceRGB /BitsPerComponent 8",
)


def test_pages_come_in_batches_in_order(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", ["first", "", "third (page) \\ ü€"], title="A  (new) title")

    head, *batches = read(path, batch_pages=2)

    assert head == ("head", {"page_count": 3, "title": "A (new) title"})
    assert batches == [
        ("pages", [(1, "first", False, None), (2, "", False, None)]),
        ("pages", [(3, "third (page) \\ ü€", False, None)]),
    ]


def test_reading_goes_on_at_any_page(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", 10)

    assert [number for number, *_ in pages(path, first_page=8)] == [8, 9, 10]
    assert pages(path, first_page=11) == []


def test_long_pages_are_read_whole_and_lines_end_in_lf(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(2_000)]
    upright = make_pdf(tmp_path / "a.pdf", [" ".join(words)])
    turned = make_pdf(tmp_path / "b.pdf", [" ".join(words)], rotate=90)

    [(_, text, _, _)] = pages(upright)
    [(_, text_turned, _, _)] = pages(turned)

    assert text.split() == words
    assert sorted(text_turned.split()) == sorted(words)  # PDFium reads lying lines from below
    assert "\n" in text
    assert "\r" not in text


def test_text_is_normal() -> None:
    odd = "a\r\nb\rc\x00\ud800 e\u0301 ﬁn\ufb03 divi\ufffeded di\x02 \r\nvided so\xadft well-\r\nknown \x12x\x13\t"

    assert pdf._normal(odd) == "a\nb\nc é finffi divided divided soft well-\nknown  x \t"


def test_characters_beyond_the_basic_plane_are_kept(tmp_path: Path) -> None:
    mapping = b"""begincmap 1 begincodespacerange <00> <FF> endcodespacerange
        2 beginbfchar <41> <D83DDE00> <42> <0058> endbfchar endcmap"""
    path = one_page(
        tmp_path,
        b"BT /F 20 Tf 50 700 Td (BAB) Tj ET",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R >>",
        stream(mapping),
        resources="/Font << /F 5 0 R >>",
    )

    assert pages(path) == [(1, "X😀X", False, None)]


@pytest.mark.parametrize("rotate", [0, 90])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"600 0 0 420 0 0 cm /I Do", True),
        (b"600 0 0 380 0 0 cm /I Do", False),
        (b"600 0 0 210 0 0 cm /I Do 1 0 0 1 0 1.5 cm /I Do", True),  # in two strips
        (b"0 800 -600 0 600 0 cm /I Do", True),  # turned
        (b"6000 0 0 8000 599 799 cm /I Do", False),  # all but outside
        (b"600 0 0 800 0 0 cm /I Do 0 g BT /F 0.02 Tf (ten letters and more) Tj ET", False),
        (b"2 0 0 2 0 0 cm /X Do", True),  # inside a form that is drawn twice as large
        (b"/X Do", False),
    ],
)
def test_a_page_that_is_a_picture_needs_ocr(
    tmp_path: Path, content: bytes, expected: bool, rotate: int
) -> None:
    form = stream(
        b"100 0 0 100 0 0 cm /I Do",
        "/Type /XObject /Subtype /Form /BBox [0 0 300 400] /Matrix [3 0 0 4 0 0] "
        "/Resources << /XObject << /I 5 0 R >> >>",
    )
    path = one_page(
        tmp_path,
        content,
        RED_DOT,
        form,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        resources="/XObject << /I 5 0 R /X 6 0 R >> /Font << /F 7 0 R >>",
        page=f"/Rotate {rotate}",
    )

    [(_, _, needs_ocr, error)] = pages(path)

    assert (needs_ocr, error) == (expected, None)


def test_a_damaged_page_does_not_stop_the_others(tmp_path: Path) -> None:
    path = write_objects(
        tmp_path / "a.pdf",
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            f"<< /Type /Pages /Kids [3 0 R 9 0 R 3 0 R] /Count 3 {SHEET} >>".encode(),
            b"<< /Type /Page /Parent 2 0 R >>",
        ],
    )

    assert [(number, error) for number, _, _, error in pages(path)] == [
        (1, None),
        (2, "The page is damaged."),
        (3, None),
    ]


def test_a_page_with_too_much_text_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "MAX_PAGE_CHARACTERS", 20)
    path = make_pdf(tmp_path / "a.pdf", ["short", "longer than twenty characters", "short"])

    assert [(text, error) for _, text, _, error in pages(path)] == [
        ("short", None),
        ("", "The page holds more than 20 characters."),
        ("short", None),
    ]


@pytest.mark.parametrize(("limit", "value"), [("MAX_PAGES", 2), ("MAX_DOCUMENT_CHARACTERS", 150)])
def test_a_document_over_a_limit_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    path = make_pdf(tmp_path / "a.pdf", 3)
    assert len(pages(path)) == 3
    monkeypatch.setattr(pdf, limit, value)

    assert refusal(path) == "too_large"


def test_a_batch_is_handed_over_early_when_it_is_big_or_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_pdf(tmp_path / "a.pdf", 3)
    assert len(read(path)) == 2
    monkeypatch.setattr(pdf, "BATCH_CHARACTERS", 100)

    assert [len(batch) for _, batch in read(path)[1:]] == [2, 1]

    monkeypatch.setattr(pdf, "BATCH_SECONDS", 0.0)

    assert [len(batch) for _, batch in read(path)[1:]] == [1, 1, 1]


def test_every_refusal_has_its_code(tmp_path: Path) -> None:
    locked_pdf(tmp_path / "password_required")
    (tmp_path / "not_a_pdf").write_bytes(b"PK\x03\x04 a zip")
    (tmp_path / "corrupt").write_bytes(b"%PDF-1.7\nand nothing more")
    make_pdf(tmp_path / "no_pages", 0)  # after the locked one, whose error PDFium remembers

    for file in [*tmp_path.iterdir(), tmp_path / "password_required", tmp_path / "no_pages"]:
        assert refusal(file) == file.name

    (tmp_path / "empty").touch()
    assert refusal(tmp_path / "empty") == "not_a_pdf"


def test_a_wrong_password_is_told_from_none(tmp_path: Path) -> None:
    path = locked_pdf(tmp_path / "a.pdf")

    with pytest.raises(pdf.PdfRefused, match="needs a password"):
        read(path)
    with pytest.raises(pdf.PdfRefused, match="does not open"):
        read(path, password="wrong")


async def test_five_thousand_pages_come_through_a_child(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", 5_000)

    async with pdf_children(1) as children:
        head, *batches = [frame async for frame in children.stream({"path": str(path)})]

    assert head[1]["page_count"] == 5_000
    texts = {number: text for _, batch in batches for number, text, _, _ in batch}
    assert list(texts) == list(range(1, 5_001))
    assert "page 5000 of 5000" in texts[5_000]


async def test_a_refusal_keeps_its_code_on_the_way_through_a_child(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").touch()

    async with pdf_children(1) as children:
        with pytest.raises(Refused, match="not a PDF") as refused:
            await anext(children.stream({"path": str(tmp_path / "a.pdf")}))

    assert refused.value.code == "not_a_pdf"


async def test_a_text_bomb_is_a_hostile_file_and_no_more(tmp_path: Path) -> None:
    shown = b"(%s) Tj\n" % (b"bomb" * 250)
    content = zlib.compress(b"BT /F 1 Tf\n" + shown * 10_000 + b"ET")
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    path = one_page(
        tmp_path, content, font, resources="/Font << /F 5 0 R >>", entries="/Filter /FlateDecode"
    )
    whole = make_pdf(tmp_path / "whole.pdf", 1)

    async with pdf_children(1) as children:
        with pytest.raises(ChildDied) as died:
            [frame async for frame in children.stream({"path": str(path)})]
        after = [frame async for frame in children.stream({"path": str(whole)})]

    assert path.stat().st_size < 100_000
    assert (died.value.code, died.value.cause) == ("hostile", "memory")
    assert len(after) == 2


def read(path: Path, **request: Any) -> list[tuple[str, Any]]:
    return list(frames(path, **request))


def frames(path: Path, **request: Any) -> Iterator[tuple[str, Any]]:
    return pdf.read_pages({"path": str(path), **request})


def pages(path: Path, **request: Any) -> list[pdf.Page]:
    return [page for kind, batch in frames(path, **request) if kind == "pages" for page in batch]


def refusal(path: Path) -> str:
    with pytest.raises(pdf.PdfRefused) as refused:
        read(path)
    return refused.value.code


def one_page(
    folder: Path, content: bytes, *objects: bytes, resources: str, page: str = "", entries: str = ""
) -> Path:
    """Write a PDF with one page; `objects` are numbered from 5, `entries` are the content stream's."""
    page += f" /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << {resources} >>"
    return write_objects(
        folder / "one.pdf",
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            f"<< /Type /Pages /Kids [3 0 R] /Count 1 {SHEET} >>".encode(),
            f"<< {page} >>".encode(),
            stream(content, entries),
            *objects,
        ],
    )


def locked_pdf(path: Path) -> Path:
    """Write a PDF whose encryption dictionary no password fits."""
    lock = f"/Filter /Standard /V 1 /R 2 /P -4 /O <{'41' * 32}> /U <{'42' * 32}>"
    return write_objects(
        path,
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            f"<< /Type /Pages /Kids [3 0 R] /Count 1 {SHEET} >>".encode(),
            b"<< /Type /Page /Parent 2 0 R >>",
        ],
        trailer=f"/Encrypt << {lock} >> /ID [<43> <43>]",
    )
