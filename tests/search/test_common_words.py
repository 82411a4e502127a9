"""A common word is not what the index is asked for, and still finds what nothing else does."""

from pathlib import Path

import pytest

from app.core.search import Asked, Hit, parse
from app.documents import find_postgresql
from app.documents import search as documents
from app.documents.sample import make_pdf
from app.resources import Resources
from tests.documents.papers import ALICE, BOB, harness, keep


async def test_rare_words_of_others_do_not_hide_ones_own_page(
    resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_postgresql, "MATCHES", 2)
    jobs = harness(resources)
    await keep(jobs, make_pdf(tmp_path / "bob.pdf", ["zirconium ledger"] * 3), BOB)
    mine = await keep(jobs, make_pdf(tmp_path / "alice.pdf", ["a ledger"] * 3), ALICE)
    await jobs.run_all()

    hits = await _found_by_alice(resources, "zirconium ledger")

    assert [(hit.document_id, hit.page_number) for hit in hits] == [
        (mine, page) for page in (1, 2, 3)
    ]


async def test_a_rare_word_is_not_crowded_out_by_a_common_one(
    resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its rank in the index a short page with the common word would go before it."""
    monkeypatch.setattr(find_postgresql, "MATCHES", 2)
    monkeypatch.setattr(find_postgresql, "_RANKED_AGAIN", 3)
    jobs = harness(resources)
    long = " ".join(f"page{number}" for number in range(80))
    pages = ["ledger"] * 6 + [f"zirconium {long}"]
    document = await keep(jobs, make_pdf(tmp_path / "alice.pdf", pages), ALICE)
    await jobs.run_all()

    hits = await _found_by_alice(resources, "zirconium ledger")

    assert (hits[0].document_id, hits[0].page_number) == (document, 7)


async def _found_by_alice(resources: Resources, question: str) -> list[Hit]:
    async with resources.db.reading() as session:
        asked = Asked(parse(question), question, ALICE, 10)
        found = await documents.by_words(resources, session, asked)
    assert found is not None
    return found.hits
