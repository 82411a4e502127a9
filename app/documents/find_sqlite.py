"""Finding chunks on SQLite: FTS5 for words and pieces, a matrix in memory for vectors."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import Database, fetch
from app.core.matrix import Matrix
from app.core.search import Asked, Term, fts5_of
from app.documents.chunks import trigrams
from app.documents.find import LIVE, MATCHES, Match, narrowed, values
from app.documents.pieces import CANDIDATES, SAMPLED, Sample, bm25, rare
from app.embedding.spaces import Space
from app.embedding.vectors import Vectors

_LOADED_AT_ONCE = 5_000  # vectors

# `rank` is found inside FTS5, so the inner statement sorts without a look at `chunks`. CROSS JOIN
# keeps the order: from the index to the rows, never the other way round.
_FIND = """
SELECT c.seq, c.document_id, c.page_number, f.score FROM (
  SELECT rowid AS seq, -rank AS score FROM {index} WHERE {index} MATCH :meant
  ORDER BY rank LIMIT :most
) AS f CROSS JOIN chunks AS c ON c.seq = f.seq CROSS JOIN documents AS d ON {live}{narrowed}
ORDER BY f.score DESC
"""
_TEXTS = """
SELECT seq, title || char(10) || text FROM chunks WHERE seq IN (SELECT value FROM json_each(:seqs))
"""
_SAMPLE = """
WITH RECURSIVE some (seq) AS (
  SELECT min(seq) FROM chunks
  UNION ALL
  SELECT (SELECT min(c.seq) FROM chunks AS c WHERE c.seq >= some.seq + :every) FROM some
  WHERE some.seq IS NOT NULL LIMIT :most
)
SELECT c.title || char(10) || c.text FROM some CROSS JOIN chunks AS c ON c.seq = some.seq
"""  # every so many numbers, without reading the rows between
_DOCUMENTS = """
SELECT id, owner_id, indexed_generation, chunk_count FROM documents
WHERE indexed_generation IS NOT NULL
"""
_VECTORS = """
SELECT c.seq, c.document_id, c.page_number, e.vector
FROM json_each(:documents) AS j CROSS JOIN documents AS d ON d.id = j.value
CROSS JOIN chunks AS c ON {live}
CROSS JOIN chunk_embeddings AS e ON e.model_id = :model AND e.chunk_id = c.id
"""
_EVERYTHING = 10_000_000


async def by_words(session: AsyncSession, asked: Asked, terms: Sequence[Term]) -> list[Match]:
    """Chunks that have some of the terms."""
    meant = _any(map(fts5_of, terms))
    refused = _any(map(fts5_of, asked.query.without))
    return await _find(session, asked, "chunk_words", _but(meant, refused), MATCHES)


async def by_pieces(session: AsyncSession, asked: Asked, pieces: Sequence[str]) -> list[Match]:
    """Chunks that have the rarest of the pieces, in the order of BM25 over all of them."""
    sample = await _sample(session)
    refused = _any(_quoted(" ".join(term.words)) for term in asked.query.without)
    meant = _but(_any(map(_quoted, rare(pieces, sample))), refused)
    matches = await _find(session, asked, "chunk_pieces", meant, CANDIDATES)
    if len(matches) < asked.best and narrowed(asked) and not asked.query.has_words:
        # Somebody else's chunks may be all that has the rarest, and there is no other way.
        meant = _but(_any(map(_quoted, pieces)), refused)
        matches = await _find(session, asked, "chunk_pieces", meant, CANDIDATES)
    given = {"seqs": json.dumps([match.seq for match in matches])}
    texts = {row[0]: row[1] for row in await fetch(session, _TEXTS, given)}
    scores = bm25([texts[match.seq] for match in matches], pieces, sample)
    found = [match._replace(score=score) for match, score in zip(matches, scores, strict=True)]
    return sorted(found, key=lambda match: -match.score)


async def by_meaning(
    db: Database, session: AsyncSession, asked: Asked, space: Space, vector: Vectors
) -> list[Match]:
    """Chunks whose vectors are nearest; exact, but for the prefilter above 50,000."""
    matrix = await _cache_of(db).matrix(session, space)
    keys = None if asked.document_id is None else [str(asked.document_id)]
    owner = None if asked.owner_id is None else str(asked.owner_id)
    near = await asyncio.to_thread(
        matrix.nearest, vector, min(MATCHES, 4 * max(asked.best, 50)), owner=owner, keys=keys
    )
    return [Match(seq, document_id, page, cosine) for (seq, document_id, page), cosine in near]


async def _find(
    session: AsyncSession, asked: Asked, index: str, meant: str, most: int
) -> list[Match]:
    sql = _FIND.format(index=index, live=LIVE, narrowed=narrowed(asked))
    given = values(asked, as_text=True) | {"meant": meant, "most": most}
    rows = await fetch(session, sql, given)
    if len(rows) < min(asked.best, most) and narrowed(asked):
        # Somebody else's chunks may have taken all the places.
        rows = await fetch(session, sql, given | {"most": _EVERYTHING})
    return [Match(row[0], UUID(row[1]), row[2], row[3]) for row in rows[:most]]


async def _sample(session: AsyncSession) -> Sample:
    """The sample of this database; a new one when the last is old."""
    engine = session.get_bind()
    kept = _samples.get(engine)
    if kept is None or kept.stale:
        ((seq,),) = await fetch(session, "SELECT coalesce(max(seq), 0) FROM chunks", {})
        rows = await fetch(session, _SAMPLE, {"every": max(1, seq // SAMPLED), "most": SAMPLED})
        having = await asyncio.to_thread(_count, [row[0] for row in rows])
        kept = _samples[engine] = Sample.of(len(rows), having, seq)
    return kept


def _count(texts: Iterable[str]) -> Counter[int]:
    return Counter(number for own in texts for number in trigrams(own))


def _any(terms: Iterable[str]) -> str:
    return " OR ".join(terms)


def _but(meant: str, refused: str) -> str:
    return f"({meant}) NOT ({refused})" if refused else meant


def _quoted(piece: str) -> str:
    return '"' + piece.replace('"', '""').replace("\0", " ") + '"'


class _Cache:
    """The vectors of the live chunks of one database, as far as they were asked for."""

    def __init__(self) -> None:
        self._loading = asyncio.Lock()
        self._space: Space | None = None
        self._matrix = Matrix(1)

    async def matrix(self, session: AsyncSession, space: Space) -> Matrix:
        """The matrix as the space stands now; only what has changed is loaded."""
        async with self._loading:
            if self._space is None or self._space.model_id != space.model_id:
                self._matrix, self._space = Matrix(space.dimension), None
            if self._space != space:
                await self._load(session, space)
                self._space = space
            return self._matrix

    async def _load(self, session: AsyncSession, space: Space) -> None:
        documents = {row[0]: row[1:] for row in await fetch(session, _DOCUMENTS, {})}
        wanted = {id_: row[1] for id_, row in documents.items()}
        batch: list[str] = []
        chunks = 0
        for id_ in self._matrix.missing(wanted):
            batch.append(id_)
            chunks += documents[id_][2]
            if chunks >= _LOADED_AT_ONCE:
                await self._put(session, space, documents, batch)
                batch, chunks = [], 0
        if batch:
            await self._put(session, space, documents, batch)

    async def _put(
        self, session: AsyncSession, space: Space, documents: dict[str, Any], ids: list[str]
    ) -> None:
        given = {"model": space.model_id, "documents": json.dumps(ids)}
        rows = await fetch(session, _VECTORS.format(live=LIVE), given)
        await asyncio.to_thread(_fill, self._matrix, documents, ids, rows)


def _fill(matrix: Matrix, documents: dict[str, Any], ids: list[str], rows: list[Any]) -> None:
    """Put the rows of some documents into the matrix, a block each, the empty ones too."""
    of: dict[str, list[Any]] = {id_: [] for id_ in ids}
    for row in rows:
        of[row[1]].append(row)
    for id_, found in of.items():
        half = np.frombuffer(b"".join(row[3] for row in found), np.float16)
        vectors = half.astype(np.float32).reshape(len(found), matrix.dimension)
        what = [(row[0], UUID(row[1]), row[2]) for row in found]
        owner, generation, _count = documents[id_]
        matrix.put(id_, generation, owner, vectors, what)


_caches: WeakKeyDictionary[Database, _Cache] = WeakKeyDictionary()
_samples: WeakKeyDictionary[Any, Sample] = WeakKeyDictionary()


def _cache_of(db: Database) -> _Cache:
    return _caches.setdefault(db, _Cache())
