"""How good search is, on questions that nobody here wrote, on both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.resources import open_resources
from app.settings import Settings
from tests.conftest import MakeSettings, empty_database
from tests.databases import on_sqlite
from tests.real.corpora import Corpus, Figures, needs_corpora

pytestmark = [*needs_corpora, pytest.mark.long]

MARGIN = 0.005
APART = 0.01  # the two databases, at most
EXPECTED = {"squad413": (0.955, 0.905), "xquad_zh": (0.87, 0.0), "xquad_de": (0.94, 0.0)}


@pytest.fixture
def postgresql_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with empty_database("postgresql", request, tmp_path) as url:
        yield url


@on_sqlite  # whose settings the other one takes, with its own address
@pytest.mark.parametrize("name", EXPECTED)
async def test_search_is_as_good_as_was_measured_and_alike_on_both_databases(
    make_settings: MakeSettings, postgresql_url: str, name: str, record_property: Any
) -> None:
    places = {"sqlite": make_settings(), "postgresql": make_settings(database_url=postgresql_url)}

    found = {kind: await _figures(name, settings) for kind, settings in places.items()}

    ndcg, first = EXPECTED[name]
    for kind, figures in found.items():
        record_property(f"{kind} ndcg", figures.ndcg)
        record_property(f"{kind} first", figures.first)
        print(f"{kind} {name}: nDCG@10 {figures.ndcg:.4f}, R@1 {figures.first:.4f}")
        assert figures.ndcg >= ndcg - MARGIN
        assert figures.first >= first - MARGIN
    assert abs(found["sqlite"].ndcg - found["postgresql"].ndcg) <= APART
    assert abs(found["sqlite"].first - found["postgresql"].first) <= APART


async def _figures(name: str, settings: Settings) -> Figures:
    corpus = Corpus(name)
    async with open_resources(settings) as resources:
        await corpus.store(resources)
        return await corpus.ask(resources, corpus.questions)
