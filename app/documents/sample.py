"""Writes small, valid PDFs with real text, for the demo and the tests.

Standard library only. Text is set in Helvetica with the Windows-1252 characters; anything outside
them becomes a question mark. `write_objects` is the lower floor, for PDFs of an unusual build.
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

WIDTH_POINTS, HEIGHT_POINTS, MARGIN_POINTS = 612, 792, 54
LINE_POINTS = 14.0  # from line to line, less where a page has more lines than fit
LINE_CHARACTERS = 90

_CATALOG, _PAGE_TREE, _FONT, _INFO, _FIRST_PAGE = range(1, 6)  # object numbers
_MADE_UP = "This is page {number} of {count}. Every background job is a row that you can watch."


def make_pdf(
    path: Path, pages: Sequence[str] | int, *, title: str = "Sample", rotate: int = 0
) -> Path:
    """Write a PDF of one page for each text and return its path.

    Args:
        path: where to write; an existing file is replaced.
        pages: the text of each page (an empty text is a blank page), or how many pages of
            made-up text to write.
        title: what the document says its title is.
        rotate: how every page is turned when shown: 0, 90, 180 or 270 degrees.
    """
    if isinstance(pages, int):
        pages = [_MADE_UP.format(number=number, count=pages) for number in range(1, pages + 1)]
    page_numbers = range(_FIRST_PAGE, _FIRST_PAGE + 2 * len(pages), 2)
    kids = " ".join(f"{number} 0 R" for number in page_numbers)
    objects = [
        f"<< /Type /Catalog /Pages {_PAGE_TREE} 0 R >>".encode(),
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} /Rotate {rotate} "
        f"/MediaBox [0 0 {WIDTH_POINTS} {HEIGHT_POINTS}] "
        f"/Resources << /Font << /F {_FONT} 0 R >> >> >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Title %s >>" % _literal(title),
    ]
    for number, text in zip(page_numbers, pages, strict=True):
        page = f"<< /Type /Page /Parent {_PAGE_TREE} 0 R /Contents {number + 1} 0 R >>"
        objects += [page.encode(), stream(_text_operators(text))]
    return write_objects(path, objects, trailer=f"/Info {_INFO} 0 R")


def write_objects(path: Path, objects: Sequence[bytes], *, trailer: str = "") -> Path:
    """Write objects 1, 2, … as a PDF; object 1 must be the catalogue.

    Args:
        path: where to write; an existing file is replaced.
        objects: the body of each object, without `obj` and `endobj`.
        trailer: further entries of the trailer dictionary.
    """
    offsets, position = [], 0
    with path.open("wb") as file:
        position += file.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")  # four high bytes: a binary file
        for number, body in enumerate(objects, start=1):
            offsets.append(position)
            position += file.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        entries = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
        size = len(objects) + 1
        file.write(b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, entries))
        file.write(f"trailer\n<< /Size {size} /Root {_CATALOG} 0 R {trailer} >>\n".encode())
        file.write(b"startxref\n%d\n%%%%EOF\n" % position)
    return path


def stream(content: bytes, entries: str = "") -> bytes:
    """Return the body of a stream object with further dictionary `entries`."""
    head = f"<< /Length {len(content)} {entries} >>\nstream\n"
    return head.encode() + content + b"\nendstream"


def _text_operators(text: str) -> bytes:
    """Set `text` from the top left, wrapped, and smaller where it would not fit."""
    lines = [line for part in text.splitlines() for line in wrap(part, LINE_CHARACTERS) or [""]]
    if not lines:
        return b""
    leading = min(LINE_POINTS, (HEIGHT_POINTS - 2 * MARGIN_POINTS) / len(lines))
    start = f"BT /F {leading * 0.75:.3f} Tf {leading:.3f} TL {MARGIN_POINTS} "
    shown = b"".join(b"T* %s Tj\n" % _literal(line) for line in lines)
    return start.encode() + f"{HEIGHT_POINTS - MARGIN_POINTS} Td\n".encode() + shown + b"ET"


def _literal(text: str) -> bytes:
    encoded = text.encode("cp1252", "replace")
    for special in (b"\\", b"(", b")"):
        encoded = encoded.replace(special, b"\\" + special)
    return b"(%s)" % encoded
