"""The piece of a text that shows why it was found."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from app.core.folding import is_single
from app.core.search import Query, Term

LENGTH = 240  # characters of a snippet, at most
_BEFORE = 60  # of them before the first word that was looked for
_LOOKED_AT = 50_000  # characters of a text; a book has its snippet near its beginning
_ENDING = re.compile(r"(?:ing|edly|ed|ies|es|s|ly|y|e)$")  # what a stem leaves open
_LETTERS_AFTER_STEM = 4


class Snippet(NamedTuple):
    """A piece of a text in one line."""

    text: str
    highlights: list[tuple[int, int]]  # where in `text` stands what was looked for


def snippet(text: str, query: Query) -> Snippet:
    """The part of `text` around the first word of `query`, its beginning where there is none."""
    flat = " ".join(text[:_LOOKED_AT].replace("\ufffc", " ").split())
    places = list(_places(flat, query.wanted))
    begin = max(0, places[0][0] - _BEFORE) if places and places[0][1] > LENGTH else 0
    if begin:
        begin = flat.find(" ", begin, places[0][0]) + 1 or begin
    end = begin + LENGTH
    if end < len(flat):
        end = max(flat.rfind(" ", begin + LENGTH // 2, end), begin + LENGTH // 2)
    before, after = "… " if begin else "", " …" if end < len(flat) else ""
    shift = len(before) - begin
    shown = [(one + shift, two + shift) for one, two in places if begin <= one and two <= end]
    return Snippet(before + flat[begin:end].rstrip() + after, shown)


def _places(text: str, terms: Iterable[Term]) -> list[tuple[int, int]]:
    """Where the terms stand, in order, without overlaps."""
    pattern = "|".join(filter(None, (_pattern(term) for term in terms)))
    if not pattern:
        return []
    plain = "".join(map(_plain, text))
    return [match.span() for match in re.finditer(pattern, plain)]


def _pattern(term: Term) -> str:
    if all(map(is_single, term.words)):
        return "".join(map(re.escape, term.words))
    last = term.words[-1]
    stem = _ENDING.sub("", last) if len(last) > 4 else last
    open_end = (
        r"\w*" if term.prefix else rf"\w{{0,{_LETTERS_AFTER_STEM}}}" if last.isalpha() else ""
    )
    words = [*map(re.escape, term.words[:-1]), re.escape(stem) + open_end]
    return r"(?<!\w)" + r"\W+".join(words) + r"(?!\w)"


@lru_cache(maxsize=8192)
def _plain(character: str) -> str:
    """One character for one, so that places in the plain text are places in the text."""
    if character.isascii():
        return character.lower() if character != "_" else " "
    found = unicodedata.normalize("NFKD", character)[:1].lower()
    return found if len(found) == 1 else character
