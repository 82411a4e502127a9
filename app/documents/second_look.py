"""A page read again by pdfminer.six. Runs in the same child as `app.documents.pdf`.

PDFium gives next to nothing of some vertical Japanese (28 characters where there are 5,200).
pdfminer.six reads it, seventy times as slowly, so it is asked for suspicious pages only, and within
a budget of time.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pypdfium2
from pypdfium2 import raw

SECONDS_PER_PAGE = 8.0
SECONDS_PER_DOCUMENT = 20.0  # less than a batch may take
_LEAST_OBJECTS = 20  # of text; a page with fewer has little to lose
_LETTERS_PER_OBJECT = 0.25  # fewer than these, and most of the page's text did not come out
_LOOKED_AT = 5_000  # objects of a page


def is_suspicious(page: pypdfium2.PdfPage, letters: int) -> bool:
    """Whether a page shows much more text than the `letters` that PDFium has found in it."""
    if letters >= _LETTERS_PER_OBJECT * _LOOKED_AT:
        return False
    count = min(_LOOKED_AT, raw.FPDFPage_CountObjects(page))
    if letters >= _LETTERS_PER_OBJECT * count:
        return False
    kinds = (raw.FPDFPageObj_GetType(raw.FPDFPage_GetObject(page, n)) for n in range(count))
    of_text = sum(kind == raw.FPDF_PAGEOBJ_TEXT for kind in kinds)
    return bool(of_text >= _LEAST_OBJECTS and letters < _LETTERS_PER_OBJECT * of_text)


class SecondLook:
    """Reads pages of one document, as long as the budget lasts."""

    def __init__(self, path: Path, password: str | None) -> None:
        self._path, self._password = path, password or ""
        self._left = SECONDS_PER_DOCUMENT

    def text(self, number: int) -> str:
        """The text of a page, from 1; nothing if it cannot be read in time."""
        began = time.monotonic()
        try:
            # Whatever is wrong with a page that PDFium could open: then PDFium's text stands.
            with suppress(Exception), _at_most(min(self._left, SECONDS_PER_PAGE)):
                return self._read(number)
        finally:
            self._left = max(0.0, self._left - (time.monotonic() - began))
        return ""

    def _read(self, number: int) -> str:
        from pdfminer.high_level import extract_text  # noqa: PLC0415 -- 0.3 s, and rarely needed
        from pdfminer.layout import LAParams  # noqa: PLC0415

        return extract_text(
            str(self._path),
            password=self._password,
            page_numbers=[number - 1],
            laparams=LAParams(detect_vertical=True),
        )


class _TooSlow(Exception):
    """The budget is used up."""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise `_TooSlow` inside the block after so long; at once where there are no timers."""
    if seconds <= 0 or not hasattr(signal, "setitimer"):
        raise _TooSlow

    def stop(_signal: int, _frame: Any) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
