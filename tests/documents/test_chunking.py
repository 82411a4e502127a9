"""Chunks of a page: exact slices, nothing lost, never too long."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.chunking import LONGEST, MOST_WORDS, OVERLAP, chunks_of

PROSE = "This is a sentence of some length. And here is one more, which goes on. "
LETTERS = st.sampled_from(list("aé字 .!?\n\t\u0301\u200d\U0001f600,。"))
TEXTS = st.one_of(
    st.text(LETTERS, max_size=4_000),
    st.text(max_size=2_000),
    st.lists(st.sampled_from(["word", "a", PROSE, "\n\n", " ", "x" * 1_500]), max_size=60).map(
        "".join
    ),
)


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_chunks_are_slices_that_cover_the_page(text: str) -> None:
    chunks = list(chunks_of(text))

    covered: set[int] = set()
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text == chunk.text.strip() != ""
        assert len(chunk.text) <= LONGEST
        assert len(chunk.text.split()) <= MOST_WORDS
        covered.update(range(chunk.start, chunk.end))
    assert all(place in covered or char.isspace() for place, char in enumerate(text))
    for one, two in pairwise(chunks):
        assert one.start < two.start
        assert one.end < two.end
        assert one.end - two.start <= OVERLAP
    assert chunks == list(chunks_of(text))


def test_a_blank_page_has_no_chunks() -> None:
    assert list(chunks_of(" \n\t ")) == []


def test_it_cuts_after_sentences_and_repeats_one() -> None:
    chunks = list(chunks_of(PROSE * 30))

    assert all(chunk.text.endswith(".") for chunk in chunks)
    assert all(chunk.text.startswith(("This", "And")) for chunk in chunks)
    assert all(two.start < one.end for one, two in pairwise(chunks))


def test_paragraphs_come_first() -> None:
    paragraph = "words " * 130
    chunks = list(chunks_of(f"{paragraph}\n\n{paragraph}\n\nend"))

    assert chunks[0].text == paragraph.strip()
    assert chunks[-1].text.endswith("\n\nend")


def test_many_short_words_end_a_chunk() -> None:
    chunks = list(chunks_of("a " * 1_000))

    assert max(len(chunk.text.split()) for chunk in chunks) == MOST_WORDS
