"""How good search is, on questions that nobody here wrote, on both databases."""

from typing import Any

import pytest

from app.resources import Resources
from tests.real.corpora import Corpus, needs_corpora

pytestmark = [*needs_corpora, pytest.mark.long]

MARGIN = 0.005
EXPECTED = {"squad413": (0.955, 0.905), "xquad_zh": (0.87, 0.0), "xquad_de": (0.94, 0.0)}


@pytest.mark.parametrize("name", EXPECTED)
async def test_search_is_as_good_as_was_measured(
    resources: Resources, name: str, record_property: Any
) -> None:
    corpus = Corpus(name)
    await corpus.store(resources)

    figures = await corpus.ask(resources, corpus.questions)

    record_property("ndcg", figures.ndcg)
    record_property("first", figures.first)
    print(f"{name}: nDCG@10 {figures.ndcg:.4f}, R@1 {figures.first:.4f}")
    ndcg, first = EXPECTED[name]
    assert figures.ndcg >= ndcg - MARGIN
    assert figures.first >= first - MARGIN
