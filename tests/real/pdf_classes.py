"""The PDFs that nobody here wrote, and what each class of their manifest may end as."""

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "pdfs"

needs_pdfs = [
    pytest.mark.real,
    pytest.mark.skipif(not (FOLDER / "manifest.json").exists(), reason=f"no PDFs in {FOLDER}"),
]

_ALLOWED = {
    "text": {"text"},
    "text_or_clean_failure": {"text", "no_text", "needs_ocr", "page_errors", "corrupt"},
    "needs_ocr": {"needs_ocr"},
    "password_required": {"password_required"},
    "isolate_hostile": {"text", "hostile", "too_large"},
    "reject_invalid": {"not_a_pdf", "corrupt"},
    "no_text": {"no_text"},
    "zero_pages": {"no_pages"},
}
# Files where what PDFium sees differs from the class in the manifest, with the reason.
_ALSO_ALLOWED = {
    "inline-image.pdf": {"text"},  # four letters beside an image of a twentieth of the page
    "encrypted_doc_no_id.pdf": {"needs_ocr", "no_text"},  # no library finds a word in it
}


def manifest() -> list[dict[str, Any]]:
    """One entry per file: `file`, `expect`, and what else is known of it."""
    entries: list[dict[str, Any]] = json.loads((FOLDER / "manifest.json").read_text())
    return entries


def may_end_as(entry: dict[str, Any]) -> set[str]:
    """The endings that are right for the file of `entry`."""
    return _ALLOWED[entry["expect"]] | _ALSO_ALLOWED.get(entry["file"], set())
