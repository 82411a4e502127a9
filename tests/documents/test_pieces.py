"""How rare something is, and how texts are ranked by their pieces."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.chunks import number_of, trigrams
from app.documents.pieces import SAMPLE_SECONDS, SAMPLED, Sample, bm25, rare

TEXTS = [
    "the cat sat on the mat",
    "a cat",
    "",
    "x",
    "\0\0the\0",
    "Katze, КОТ, 猫が好き 😀😀 the the the",
]


def _sample(**having: int) -> Sample:
    return Sample.of(100, {number_of(piece): count for piece, count in having.items()}, 1_000)


def test_scores_are_those_of_the_formula() -> None:
    pieces = ["the", "cat", "at ", " ca", "кот", "が好き", "😀😀 ", "zzz", "\0\0t"]
    sample = _sample(the=90, cat=10)

    scores = bm25(TEXTS, pieces, sample)

    mean = sum(map(len, TEXTS)) / len(TEXTS)
    for text, score in zip(TEXTS, scores, strict=True):
        room = 1.2 * (0.25 + 0.75 * len(text) / mean)
        counts = {piece: text.lower().count(piece) for piece in pieces}
        parts = [sample.idf(piece) * n * 2.2 / (n + room) for piece, n in counts.items() if n]
        assert score == pytest.approx(sum(parts))


def test_nothing_to_rank_or_to_rank_by() -> None:
    assert bm25([], ["the"], _sample()) == []
    assert bm25(["the"], [], _sample()) == [0.0]
    assert bm25(["", ""], ["the"], _sample()) == [0.0, 0.0]


def test_the_rarest_pieces_are_asked_for() -> None:
    sample = _sample(the=90, ing=80, cat=10, dog=5, xyz=1)

    assert rare(["the", "xyz", "ing", "cat", "dog"], sample) == ["xyz", "dog", "cat"]


def test_a_term_is_as_rare_as_its_rarest_stem() -> None:
    sample = Sample.of(100, {}, 1_000, {"cat": 10, "catch": 20, "mat": 50})

    assert sample.common_stems(["cat", "mat"], prefix=False) == 10
    assert sample.common_stems(["mat", "cat"], prefix=True) == 30
    assert sample.common_stems(["dog"], prefix=False) == 0.05  # in none of a tenth of all
    assert sample.common_stems([], prefix=False) == 0.05
    assert sample.weight(10) > sample.weight(50) > sample.weight(200) > 0
    assert math.isfinite(sample.weight(0.0))


def test_a_sample_of_a_table_that_was_nearly_empty_does_not_serve_long() -> None:
    empty, whole = Sample.of(0, {}, 0), Sample.of(SAMPLED, {}, SAMPLED)

    assert whole.until - empty.until == pytest.approx(SAMPLE_SECONDS, abs=1)


@given(st.text(st.sampled_from("abAB 09.\0äßЖ語😀\u0130"), max_size=40) | st.text(max_size=40))
def test_a_text_has_the_numbers_of_its_pieces_each_once(text: str) -> None:
    low = text.lower()
    pieces = {low[place : place + 3] for place in range(len(low) - 2)}

    assert sorted(trigrams(text)) == sorted(map(number_of, pieces))
    assert all(-(2**31) <= number < 2**31 for number in trigrams(text))
