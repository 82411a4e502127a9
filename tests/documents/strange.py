"""PDFs of an unusual build: damaged, locked, scanned, hostile."""

import zlib
from collections.abc import Sequence
from pathlib import Path

from app.documents.sample import stream, write_objects

_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
_RED_DOT = stream(
    b"\xff\x00\x00",
    "/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceRGB /BitsPerComponent 8",
)
_BOMB = zlib.compress(b"BT /F 1 Tf\n" + (b"(%s) Tj\n" % (b"bomb" * 250)) * 10_000 + b"ET")
_CATALOGUE, _FIRST = b"<< /Type /Catalog /Pages 2 0 R >>", 5


def made_of(path: Path, pages: Sequence[str]) -> Path:
    """Write a PDF of `pages`: "text", "blank", "scan", "damaged" or "bomb" each."""
    contents = {
        "text": stream(b"BT /F 12 Tf 50 700 Td (Readable text of a page) Tj ET"),
        "blank": stream(b""),
        "scan": stream(b"600 0 0 800 0 0 cm /I Do"),
        "bomb": stream(_BOMB, "/Filter /FlateDecode"),
        "damaged": stream(b""),
    }
    resources = "/Resources << /Font << /F 3 0 R >> /XObject << /I 4 0 R >> >>"
    objects: list[bytes] = []
    kids: list[int] = []
    for kind in pages:
        number = _FIRST + len(objects)
        kids.append(number if kind != "damaged" else 9_999)
        page = f"<< /Type /Page /Parent 2 0 R /Contents {number + 1} 0 R {resources} >>"
        objects += [page.encode(), contents[kind]]
    tree = f"/Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] /Count {len(kids)}"
    pages_object = f"<< /Type /Pages {tree} /MediaBox [0 0 600 800] >>".encode()
    return write_objects(path, [_CATALOGUE, pages_object, _FONT, _RED_DOT, *objects])


def locked(path: Path) -> Path:
    """Write a PDF whose encryption dictionary no password fits."""
    lock = f"/Filter /Standard /V 1 /R 2 /P -4 /O <{'41' * 32}> /U <{'42' * 32}>"
    objects = [
        _CATALOGUE,
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 600 800] >>",
        b"<< /Type /Page /Parent 2 0 R >>",
    ]
    return write_objects(path, objects, trailer=f"/Encrypt << {lock} >> /ID [<43> <43>]")


def bytes_of(path: Path, content: bytes) -> Path:
    """Write any bytes."""
    path.write_bytes(content)
    return path
