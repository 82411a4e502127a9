"""Queries as people type them, and the pieces of text that answer them."""

import pytest

from app.core.search import Term, parse
from app.core.snippets import LENGTH, snippet


def test_all_words_are_wanted_but_not_those_that_tell_nothing() -> None:
    assert parse("the dinner at Seven").groups == ((Term(("dinner",)),), (Term(("seven",)),))


def test_words_that_tell_nothing_are_looked_for_when_there_are_no_others() -> None:
    assert len(parse("to be or not to be").groups) == 6


def test_quotes_or_minus_and_star() -> None:
    query = parse('"see you" lunch OR dinner -work din*')

    assert query.groups == (
        (Term(("see", "you")),),
        (Term(("lunch",)), Term(("dinner",))),
        (Term(("din",), prefix=True),),
    )
    assert query.without == (Term(("work",)),)


def test_an_address_is_its_parts_in_a_row() -> None:
    assert parse("Ada@Example.com").groups == ((Term(("ada", "example", "com")),),)


def test_a_word_of_a_script_without_spaces_is_a_phrase() -> None:
    assert parse("東京").fts5() == '("東 京")'
    assert parse("東京").tsquery() == "(('東' <-> '京'))"


@pytest.mark.parametrize(
    "typed", ["!!!", '""', "-", "OR", "*", "' ) | (", '" OR 1=1 --', "a:* & !b"]
)
def test_signs_are_never_syntax(typed: str) -> None:
    query = parse(typed)

    for sign in "();:=!&":
        assert sign not in "".join(word for term in query.wanted for word in term.words)


def test_a_snippet_shows_where_the_words_stand() -> None:
    long = "Nothing here. " * 50 + "We had Dinners in the café. " + "More. " * 100

    shown = snippet(long, parse("dinner cafe"))

    assert [shown.text[one:two] for one, two in shown.highlights] == ["Dinners", "café"]
    assert shown.text.startswith("… ")
    assert shown.text.endswith(" …")
    assert len(shown.text) <= LENGTH + 4


def test_a_snippet_of_a_text_without_the_words_is_its_beginning() -> None:
    assert snippet("One\n\n  two\ufffcthree", parse("missing")) == ("One two three", [])
