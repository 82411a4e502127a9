"""What a search asks and what it finds: the shapes between `app.search` and the domains.

A domain searches what is its own and gives back `Found`; `app.search` asks all of them and puts
their answers into one order. How a query is meant:

    dinner station        both words, in any order
    "dinner at seven"     these words, one after the other
    dinner OR lunch       one of them
    dinner -station       not this one
    din*                  words that begin so
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from app.core.folding import is_single, words

_PIECES = re.compile(r'(-?)"([^"]*)"?|(\S+)')
_SMALL_WORDS = (
    "a an and are as at be but by for from has have he her his i in is it its me my no not of on "
    "or our she so than that the their them then there they this to was we were what when where "
    "which who will with you your"
)
_STOP_WORDS = frozenset(_SMALL_WORDS.split())
_MOST_TERMS = 32  # nobody means more; each one costs the database a lookup


class Term(NamedTuple):
    """Words that must follow one another; mostly it is one."""

    words: tuple[str, ...]  # folded, see `app.core.folding`
    prefix: bool = False  # the last one may go on


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for: of each group one term, and none of `without`."""

    groups: tuple[tuple[Term, ...], ...]
    without: tuple[Term, ...] = ()

    @property
    def wanted(self) -> tuple[Term, ...]:
        """All terms that speak for a text."""
        return tuple(term for group in self.groups for term in group)

    @property
    def has_words(self) -> bool:
        """Whether there is a word to go by; scripts without spaces have none."""
        return any(not any(map(is_single, term.words)) for term in self.wanted)

    @property
    def loosened(self) -> "Query | None":
        """The query for which any of the terms is enough; None where that is no other."""
        return Query((self.wanted,), self.without) if len(self.groups) > 1 else None

    def fts5(self) -> str:
        """The query for SQLite's FTS5, to follow MATCH. Empty if there is nothing to look for."""
        groups = [f"({' OR '.join(map(fts5_of, group))})" for group in self.groups]
        meant = " AND ".join(groups)
        for term in self.without if meant else ():
            meant = f"({meant}) NOT {fts5_of(term)}"
        return meant

    def tsquery(self) -> str:
        """The query for PostgreSQL's `totsquery_of('headway', …)`. Empty as above."""
        groups = [f"({' | '.join(map(tsquery_of, group))})" for group in self.groups]
        refused = [f"!{tsquery_of(term)}" for term in self.without if groups]
        return " & ".join(groups + refused)


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as each domain is asked it."""

    query: Query
    text: str  # as it was typed
    owner_id: UUID | None  # whose things; None: everybody's (an admin asks)
    best: int  # how many hits are wanted, the best ones
    kinds: frozenset[str] | None = None  # of `Hit.kind`; None: all
    backup_id: UUID | None = None  # only what is in this backup
    document_id: UUID | None = None  # only what is in this document
    mode: str = "hybrid"  # the way of searching that was asked for


class Hit(NamedTuple):
    """One thing that was found."""

    kind: str
    id: UUID
    title: str | None
    text: str  # all of it; `snippet` cuts
    score: float  # higher is better; comparable within one answer only
    timestamp: datetime | None = None
    backup_id: UUID | None = None
    document_id: UUID | None = None
    page_number: int | None = None
    person: str | None = None  # who said it, or whose it is
    row: int | None = None  # of the domain's table, while `id`, `title` and `text` are not fetched

    @property
    def place(self) -> tuple[str, UUID, int | None]:
        """What makes two hits the same: the thing itself; of documents, the page."""
        return self.kind, self.document_id or self.id, self.page_number


class Found(NamedTuple):
    """The best hits of one domain, best first, and how many there are in all."""

    hits: list[Hit]
    total: int
    loose: bool = False  # nothing had all that was asked for: these have some of it


NOTHING = Found([], 0)


def parse(text: str) -> Query:
    """Read what was typed. Signs alone mean nothing: the query is then empty.

    Words such as "the" are left out, unless there are no others.
    """
    groups: list[list[Term]] = []
    without: list[Term] = []
    either = False
    for minus, quoted, bare in _PIECES.findall(text):
        if bare in ("OR", "|") and groups:
            either = True
            continue
        refused = bool(minus) or (bare.startswith("-") and len(bare) > 1)
        found = words(quoted or bare)
        if not found or bare == "AND":
            continue
        term = Term(found, bare.endswith("*"))
        if refused:
            without.append(term)
        elif either:
            groups[-1].append(term)
        else:
            groups.append([term])
        either = False
    telling = [group for group in groups if not all(map(_is_stop_word, group))] or groups
    return Query(tuple(map(tuple, telling[:_MOST_TERMS])), tuple(without[:_MOST_TERMS]))


def _is_stop_word(term: Term) -> bool:
    return len(term.words) == 1 and term.words[0] in _STOP_WORDS


def fts5_of(term: Term) -> str:
    """A term for FTS5."""
    return f'"{" ".join(term.words)}"' + (" *" if term.prefix else "")


def tsquery_of(term: Term) -> str:
    """A term for `to_tsquery`."""
    quoted = [f"'{word}'" for word in term.words]
    phrase = " <-> ".join(quoted) + (":*" if term.prefix else "")
    return f"({phrase})" if len(quoted) > 1 else phrase


def has_single(terms: Iterable[Term]) -> bool:
    """Whether some term is of a script without spaces."""
    return any(is_single(word) for term in terms for word in term.words)
