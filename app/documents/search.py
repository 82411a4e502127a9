"""Searching documents in three ways, on either database. Each finds pages, by their best chunk.

By words: their stems, English ones where there is a choice. By pieces: every three characters in a
row, which needs no spaces and forgives endings. By meaning: vectors, unless the question is in a
language that the model does not know. Dead generations and other people's documents are left out
by the statements that find.
"""

import json
import logging
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import fetch, on_sqlite
from app.core.errors import AppError
from app.core.folding import is_single
from app.core.language import is_english
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


_HITS = """
SELECT c.seq, c.id, c.title, c.text, c.document_id, c.page_number, d.filename, d.created_at
FROM chunks AS c JOIN documents AS d ON d.id = c.document_id WHERE c.seq IN ({listed})
"""


async def by_words(_resources: Resources, session: AsyncSession, asked: Asked) -> Found | None:
    """Pages that have some of the words; those with the rarest ones, and most of them, first."""
    terms = _telling(asked.query.wanted)
    if not terms or asked.backup_id is not None:
        return None if asked.backup_id is None else NOTHING
    database = find_sqlite if on_sqlite(session) else find_postgresql
    matches = await database.by_words(session, asked, terms)
    return await _found(session, asked, matches)


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
    return await _found(session, asked, [each for each in matches if each.score >= least])


async def by_meaning(resources: Resources, session: AsyncSession, asked: Asked) -> Found | None:
    """Pages whose vectors are near the question's.

    None when the model does not know the question's language and was not asked for by name, when
    it does not answer, and while documents are embedded anew for another model.
    """
    embedder = resources.embedder
    if asked.backup_id is not None:
        return NOTHING
    if embedder.language == "en" and asked.mode != "semantic" and not is_english(asked.text):
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
    return await _found(session, asked, matches)


def _telling(terms: Iterable[Term]) -> list[Term]:
    """Terms that say what is looked for; none of scripts without spaces, which have no words."""
    found = [term for term in terms if not any(map(is_single, term.words))]
    telling = [term for term in found if len(term.words) > 1 or term.words[0] not in _ASKING]
    return telling or found


async def _found(session: AsyncSession, asked: Asked, matches: Iterable[Match]) -> Found:
    """The best pages, each by the best of its chunks, with their texts."""
    pages: dict[tuple[UUID, int], Match] = {}
    for match in matches:
        pages.setdefault((match.document_id, match.page_number), match)
    best = list(pages.values())[: max(asked.best, DEPTH)]
    hits = await _hits(session, best)
    return Found([hits[match.seq] for match in best if match.seq in hits], len(pages))


async def _hits(session: AsyncSession, matches: list[Match]) -> dict[int, Hit]:
    """By the chunk's number. One that has gone meanwhile is left out."""
    seqs: object = [match.seq for match in matches]
    sqlite = on_sqlite(session)
    listed = "SELECT unnest(CAST(:seqs AS bigint[]))"
    if sqlite:
        listed, seqs = "SELECT value FROM json_each(:seqs)", json.dumps(seqs)
    scores = {match.seq: match.score for match in matches}
    return {
        row[0]: Hit(
            KIND,
            UUID(str(row[1])),
            row[2] or row[6],
            row[3],
            scores[row[0]],
            datetime.fromisoformat(row[7]) if sqlite else row[7],
            document_id=UUID(str(row[4])),
            page_number=row[5],
        )
        for row in await fetch(session, _HITS.format(listed=listed), {"seqs": seqs})
    }
