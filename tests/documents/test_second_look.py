"""Pages that are read again: which, how, and for how long."""

import signal
from contextlib import closing
from pathlib import Path

import pypdfium2
import pytest

from app.documents import second_look
from app.documents.sample import make_pdf
from app.documents.second_look import SecondLook, is_suspicious


def test_a_page_whose_text_did_not_come_out_is_suspicious(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", ["word\n" * 40, "few words"])

    with closing(pypdfium2.PdfDocument(path)) as document:
        many, few = document[0], document[1]
        assert is_suspicious(many, letters=3)
        assert not is_suspicious(many, letters=160)
        assert not is_suspicious(few, letters=0)


def test_it_reads_the_page(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", ["first", "second"])

    assert SecondLook(path, None).text(2).strip() == "second"


def test_what_cannot_be_read_is_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "b.pdf"
    broken.write_bytes(b"%PDF-1.7 and no more")

    assert SecondLook(broken, None).text(1) == ""


def test_the_budget_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_pdf(tmp_path / "a.pdf", ["word " * 2_000] * 2)
    again = SecondLook(path, None)
    assert again.text(1)
    handler = signal.getsignal(signal.SIGALRM)

    monkeypatch.setattr(second_look, "SECONDS_PER_PAGE", 0.001)
    assert again.text(2) == ""
    monkeypatch.setattr(again, "_left", 0.0)
    assert again.text(1) == ""
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
