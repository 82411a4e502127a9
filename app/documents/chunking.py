"""Cuts the text of a page into chunks that a model sees whole and a person can read.

Pure: no database, no event loop. A chunk is a slice of its page, so a citation can be checked.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

VERSION = 1  # part of a chunk's identity: raise it when the same text would be cut differently

LONGEST = 900  # characters; more than about 200 words would be beyond the model's 256 word pieces
MOST_WORDS = 200
OVERLAP = 100  # characters, at most, that a chunk repeats of the one before it
_SHORTEST = LONGEST // 2  # where the search for a good place to cut begins

# Good places to cut after, the best first.
_PLACES = (
    re.compile(r"\n[^\S\n]*\n\s*"),  # a paragraph ends
    re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？]\s*"),  # a sentence
    re.compile(r"\n\s*"),  # a line
    re.compile(r"\s+|[、，；]"),
)
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"\S+")


class Chunk(NamedTuple):
    """A slice of a page: `page_text[start:end] == text`, with no space at either end."""

    start: int
    end: int
    text: str


def chunks_of(page_text: str) -> Iterator[Chunk]:
    """Yield the chunks of a page, in order.

    Together they hold every character that is not a space; each is at most `LONGEST` characters
    and `MOST_WORDS` words long and repeats at most `OVERLAP` characters of the one before, which
    begin with a sentence, a line or at least a word. A blank page has none.
    """
    begin, covered = _after_space(page_text, 0), 0
    while covered < len(page_text.rstrip()):
        end = _end(page_text, begin)
        text = page_text[begin:end].rstrip()
        yield Chunk(begin, begin + len(text), text)
        covered = end
        begin = _begin(page_text, begin, end)


def _end(text: str, begin: int) -> int:
    """Where the chunk that begins at `begin` ends: after the best place in its second half."""
    limit = begin + LONGEST
    word = 0
    for word, match in enumerate(_WORD.finditer(text, begin, limit), 1):
        if word > MOST_WORDS:
            limit = match.start()
            break
    if limit >= len(text):
        return len(text)
    earliest = begin + (limit - begin) // 2
    for place in _PLACES:
        found = [match.end() for match in place.finditer(text, earliest, limit)]
        if found:
            return found[-1]
    return _whole(text, limit)


def _begin(text: str, begin: int, end: int) -> int:
    """Where the chunk after `end` begins: a little before it, if a good place is there."""
    window = max(begin + 1, end - OVERLAP)
    for place in _PLACES:
        found = next(place.finditer(text, window, end), None)
        # What ends exactly at `end` repeats nothing; then the next kind of place is tried.
        if found is not None and found.end() < end and found.start() > begin:
            return _after_space(text, found.end())
    return _after_space(text, end)


def _after_space(text: str, place: int) -> int:
    space = _SPACE.match(text, place)
    return place if space is None else space.end()


def _whole(text: str, place: int) -> int:
    """`place`, or one less where it would part a letter from the accent that belongs to it."""
    combining = "\u0300" <= text[place] <= "\u036f" or text[place] in "\u200d\ufe0f"
    return place - 1 if combining else place
