"""Searching documents in three ways, on either database. Each finds pages, by their best chunk.

By words: their stems, English ones where there is a choice. By pieces: every three characters in a
row, which needs no spaces and forgives endings. By meaning: vectors, unless the question is in a
language that the model does not know (`app.search` sees to that). Dead generations and other
people's documents are left out by the statements that find; texts are fetched of what is shown.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import fetch, on_sqlite
from app.core.errors import AppError
from app.core.folding import is_single
from app.core.search import NOTHING, Asked, Found, Hit, Term
from app.documents import find_postgresql, find_sqlite
from app.documents.chunks import SPACE
from app.documents.find import Match
from app.embedding import spaces
from app.resources import Resources

log = logging.getLogger(__name__)

KIND = "document"
DEPTH = 100  # pages that each way gives at least: fusion needs more than are shown
_MOST_PIECES = 120  # of a question
_LEAST_SHARE = 0.2  # of the best score by pieces: below it a text shares endings, not words

# Words by which questions are asked, besides those that every search leaves out.
_ASKING = frozenset(
    [
        "how",
        "did",
        "does",
        "do",
        "done",
        "many",
        "much",
        "why",
        "whom",
        "whose",
        "been",
        "being",
        "had",
        "were",
        "am",
        "into",
        "about",
    ]
)


_ROWS = """
SELECT c.seq, c.id, c.title, c.text, d.filename, d.created_at
FROM chunks AS c JOIN documents AS d ON d.id = c.document_id WHERE c.seq IN ({listed})
"""


async def by_words(_resources: Resources, session: AsyncSession, asked: Asked) -> Found | None:
    """Pages that have some of the words; those with the rarest ones, and most of them, first."""
    terms = _telling(asked.query.wanted)
    if not terms or asked.backup_id is not None:
        return None if asked.backup_id is None else NOTHING
    database = find_sqlite if on_sqlite(session) else find_postgresql
    matches = await database.by_words(session, asked, terms)
    return _found(asked, matches)


async def by_pieces(_resources: Resources, session: AsyncSession, asked: Asked) -> Found | None:
    """Pages that share sequences of three characters with what was typed."""
    low = asked.text.lower()
    if asked.query.without:  # then only what is wanted, in words
        low = " ".join(word for term in asked.query.wanted for word in term.words)
    pieces = list(dict.fromkeys(low[place : place + 3] for place in range(len(low) - 2)))
    if not pieces or asked.backup_id is not None:
        return None if asked.backup_id is None else NOTHING
    database = find_sqlite if on_sqlite(session) else find_postgresql
    matches = await database.by_pieces(session, asked, pieces[:_MOST_PIECES])
    least = _LEAST_SHARE * matches[0].score if matches else 0.0
    return _found(asked, [each for each in matches if each.score >= least])


async def by_meaning(resources: Resources, session: AsyncSession, asked: Asked) -> Found | None:
    """Pages whose vectors are near the question's.

    None when the model does not answer, while documents are embedded anew for another one, and of
    what must not be said: a vector knows no "not".
    """
    embedder = resources.embedder
    if asked.backup_id is not None or asked.query.without:
        return None
    space = await spaces.space(session, SPACE)
    if space.model_id is None:
        return None
    try:
        if (await embedder.identity()).key != space.key:
            return None
        vector = (await embedder.embed([asked.text]))[0]
    except AppError as error:
        log.warning("searched without meaning", extra={"error": str(error)})
        return None
    database = find_sqlite if on_sqlite(session) else find_postgresql
    matches = await database.by_meaning(resources.db, session, asked, space, vector)
    return _found(asked, matches)


def _telling(terms: Iterable[Term]) -> list[Term]:
    """Terms that say what is looked for; none of scripts without spaces, which have no words."""
    found = [term for term in terms if not any(map(is_single, term.words))]
    telling = [term for term in found if len(term.words) > 1 or term.words[0] not in _ASKING]
    return telling or found


async def with_texts(session: AsyncSession, hits: Sequence[Hit]) -> list[Hit]:
    """The hits, with what was left out of those on documents until it was clear which are shown.

    A chunk that has gone meanwhile is left out.
    """
    seqs = [hit.row for hit in hits if hit.row is not None]
    rows = await _rows(session, seqs) if seqs else {}
    return [
        hit if hit.row is None else hit._replace(**rows[hit.row])
        for hit in hits
        if hit.row is None or hit.row in rows
    ]


def _found(asked: Asked, matches: Iterable[Match]) -> Found:
    """The best pages, each by the best of its chunks, still without their texts."""
    pages: dict[tuple[UUID, int], Match] = {}
    for match in matches:
        pages.setdefault((match.document_id, match.page_number), match)
    best = list(pages.values())[: max(asked.best, DEPTH)]
    return Found([_hit(match) for match in best], len(pages))


def _hit(match: Match) -> Hit:
    return Hit(
        KIND,
        match.document_id,
        None,
        "",
        match.score,
        document_id=match.document_id,
        page_number=match.page_number,
        row=match.seq,
    )


async def _rows(session: AsyncSession, seqs: object) -> dict[int, dict[str, Any]]:
    """Id, title, text and time of chunks, by their number."""
    sqlite = on_sqlite(session)
    listed = "SELECT unnest(CAST(:seqs AS bigint[]))"
    if sqlite:
        listed, seqs = "SELECT value FROM json_each(:seqs)", json.dumps(seqs)
    return {
        row[0]: {
            "id": UUID(str(row[1])),
            "title": row[2] or row[4],
            "text": row[3],
            "timestamp": datetime.fromisoformat(row[5]) if sqlite else row[5],
            "row": None,
        }
        for row in await fetch(session, _ROWS.format(listed=listed), {"seqs": seqs})
    }
