"""The text of a PDF, page by page. Runs in a limited child: see `app.core.processes`.

PDFium is not thread-safe (four threads on one file gave silently wrong text) and a hostile page can
abort the process it is parsed in, so nothing else imports this module; it is named as
`app.documents.pdf:read_pages`. It knows the standard library, pypdfium2 and, for pages that PDFium
reads badly, pdfminer.six.
"""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pypdfium2
from pypdfium2 import raw

from app.documents.picture import image_share
from app.documents.second_look import SecondLook, is_suspicious

MAX_PAGES = 20_000
MAX_PAGE_CHARACTERS = 1_000_000  # PDFium holds ~260 bytes for each: twice this is the child's end
MAX_DOCUMENT_CHARACTERS = 50_000_000  # of one request
BATCH_CHARACTERS = 1_000_000  # a batch is handed over early at this size ...
BATCH_SECONDS = 1.0  # ... or at this age, so that progress moves and a slow page stands alone

OCR_BELOW_CHARACTERS = 10  # letters and digits
OCR_IMAGE_SHARE = 0.5  # of the page's area
_LOOKED_AT_FOR_OCR = 1_000  # characters; a page with more has text, whatever it is
_SHORT = 4_000  # characters; a page with more is not looked at twice

_HEADER_WITHIN_BYTES = 1_024
_TITLE_CHARACTERS = 300
_ANYWHERE = 1e6  # points; text outside the page box counts

_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
# PDFium marks a word that was divided at a line's end by U+FFFE or U+0002 in place of hyphen and
# line end. PostgreSQL refuses NUL, UTF-8 lone surrogates. Other control characters are glyphs of
# fonts that do not say what they mean.
_ODD = re.compile(
    "(?P<nothing>[\x02\xad\ufffe] *(?:\r?\n)?|[\x00\uffff\ud800-\udfff])"
    "|(?P<line_end>\r\n?)"
    "|(?P<space>[\x01-\x08\x0b-\x1f\x7f])"
    "|[\ufb00-\ufb06]"
)
_PUT_FOR = {"nothing": "", "line_end": "\n", "space": " "}

Page = tuple[int, str, bool, str | None]


class PdfRefused(Exception):
    """The whole document cannot be read; `code` names why, the text is a sentence for people."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def read_pages(request: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what the document is, then its pages in batches.

    Args:
        request: `path`; optionally `first_page` (from 1, where an earlier run stopped),
            `batch_pages` and `password`.

    Yields:
        `("head", {"page_count", "title"})`, then `("pages", batch)` with tuples of page number,
        text, needs_ocr, and None or the reason why this one page could not be read. Lines end
        in LF; the text is NFC, ligatures are expanded, words divided at a line's end joined.

    Raises:
        PdfRefused: password_required, not_a_pdf, corrupt, no_pages or
            too_large.
    """
    with closing(_open(Path(request["path"]), request.get("password"))) as document:
        page_count = len(document)
        if page_count > MAX_PAGES:
            raise PdfRefused(
                "too_large", f"The PDF has {page_count:,} pages; {MAX_PAGES:,} are read."
            )
        yield "head", {"page_count": page_count, "title": _title(document)}
        numbers = range(request.get("first_page", 1), page_count + 1)
        again = SecondLook(Path(request["path"]), request.get("password"))
        for batch in _batches(document, again, numbers, request.get("batch_pages", 50)):
            yield "pages", batch


def _batches(
    document: pypdfium2.PdfDocument, again: SecondLook, numbers: range, batch_pages: int
) -> Iterator[list[Page]]:
    batch: list[Page] = []
    in_all = in_batch = 0
    begun_at = time.monotonic()
    for number in numbers:
        page = _read(document, again, number)
        batch.append(page)
        in_batch += len(page[1])
        in_all += len(page[1])
        if in_all > MAX_DOCUMENT_CHARACTERS:
            limit = f"{MAX_DOCUMENT_CHARACTERS:,} characters"
            raise PdfRefused("too_large", f"The PDF holds more than {limit} of text.")
        late = time.monotonic() - begun_at > BATCH_SECONDS
        if len(batch) >= batch_pages or in_batch >= BATCH_CHARACTERS or late:
            yield batch
            batch, in_batch, begun_at = [], 0, time.monotonic()
    if batch:
        yield batch


def _open(path: Path, password: str | None) -> pypdfium2.PdfDocument:
    """Open without a password first: many files are encrypted with an empty one."""
    _set_last_error()
    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if error.err_code != raw.FPDF_ERR_PASSWORD or not password:
            raise _refusal(path, error.err_code, "The PDF needs a password.") from error
    try:
        return pypdfium2.PdfDocument(path, password)
    except pypdfium2.PdfiumError as error:
        raise _refusal(path, error.err_code, "The password does not open the PDF.") from error


def _set_last_error() -> None:
    """Make PDFium's last error "file".

    A document without pages fails to open and leaves that error as the last failure left it: in a
    child that has served a locked file before, "password".
    """
    raw.FPDF_LoadDocument(b"", None)


def _refusal(path: Path, code: int | None, locked: str) -> PdfRefused:
    with path.open("rb") as file:
        has_header = b"%PDF-" in file.read(_HEADER_WITHIN_BYTES)
    if not has_header:
        return PdfRefused("not_a_pdf", "The file is not a PDF.")
    if code == raw.FPDF_ERR_FILE:
        return PdfRefused("no_pages", "The PDF has no pages.")
    if code == raw.FPDF_ERR_PASSWORD:
        return PdfRefused("password_required", locked)
    if code == raw.FPDF_ERR_SECURITY:
        return PdfRefused("password_required", "The PDF is encrypted in an unknown way.")
    return PdfRefused("corrupt", "The PDF is damaged and cannot be opened.")


def _title(document: pypdfium2.PdfDocument) -> str | None:
    title = _normal(document.get_metadata_value("Title"))[:_TITLE_CHARACTERS]
    return " ".join(title.split()) or None


def _read(document: pypdfium2.PdfDocument, again: SecondLook, number: int) -> Page:
    """Read one page; what is wrong with it is its own reason and stops no other page."""
    try:
        with closing(document[number - 1]) as page:
            text = _text(page)
            if len(text) < _SHORT and is_suspicious(page, letters := _letters(text)):
                other = _normal(again.text(number)[:MAX_PAGE_CHARACTERS])
                text = other if _letters(other) > letters else text
            return number, text, _needs_ocr(page, text), None
    except pypdfium2.PdfiumError:
        return number, "", False, "The page is damaged."
    except _PageTooLarge:
        limit = f"{MAX_PAGE_CHARACTERS:,} characters"
        return number, "", False, f"The page holds more than {limit}."


class _PageTooLarge(Exception):
    """Counted before any of the text is fetched."""


def _text(page: pypdfium2.PdfPage) -> str:
    with closing(page.get_textpage()) as textpage:
        if textpage.count_chars() > MAX_PAGE_CHARACTERS:
            raise _PageTooLarge
        try:
            # Keeps line ends on rotated pages and text outside the page box; the other call does not.
            text = textpage.get_text_range()
        except RecursionError:  # pypdfium2 steps over leading characters without text one by one
            text = textpage.get_text_bounded(-_ANYWHERE, -_ANYWHERE, _ANYWHERE, _ANYWHERE)
        return _normal(text)


def _normal(text: str) -> str:
    return normalize("NFC", _ODD.sub(_replacement, text))


def _replacement(match: re.Match[str]) -> str:
    kind = match.lastgroup
    return _LIGATURES[match.group()] if kind is None else _PUT_FOR[kind]


def _needs_ocr(page: pypdfium2.PdfPage, text: str) -> bool:
    """Say whether the page is a picture of text: next to no characters, mostly covered by images."""
    if _letters(text[:_LOOKED_AT_FOR_OCR]) >= OCR_BELOW_CHARACTERS:
        return False
    return image_share(page) >= OCR_IMAGE_SHARE


def _letters(text: str) -> int:
    """How many letters and digits."""
    return sum(map(str.isalnum, text))
