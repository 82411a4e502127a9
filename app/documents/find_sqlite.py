"""Finding chunks on SQLite: FTS5 for words and pieces, a matrix in memory for vectors."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import Database, fetch
from app.core.matrix import Matrix
from app.core.search import Asked, Term
from app.documents.find import LIVE, MATCHES, Match, narrowed, values
from app.embedding.spaces import Space
from app.embedding.vectors import Vectors

_POSTINGS = 30_000  # entries of an index that one question may cost; rare pieces are asked first
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
_COUNTS = """
SELECT term, doc FROM chunk_pieces_counts WHERE term IN (SELECT value FROM json_each(:pieces))
"""
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
    meant = _any(f'"{" ".join(term.words)}"' + (" *" if term.prefix else "") for term in terms)
    refused = _any(f'"{" ".join(term.words)}"' for term in asked.query.without)
    return await _find(session, asked, "chunk_words", _but(meant, refused))


async def by_pieces(session: AsyncSession, asked: Asked, pieces: Sequence[str]) -> list[Match]:
    """Chunks that have some of the pieces."""
    rare = await _rare(session, pieces)
    if not rare:
        return []
    refused = _any(_quoted(" ".join(term.words)) for term in asked.query.without)
    return await _find(session, asked, "chunk_pieces", _but(_any(map(_quoted, rare)), refused))


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


async def _find(session: AsyncSession, asked: Asked, index: str, meant: str) -> list[Match]:
    sql = _FIND.format(index=index, live=LIVE, narrowed=narrowed(asked))
    given = values(asked, as_text=True) | {"meant": meant, "most": MATCHES}
    rows = await fetch(session, sql, given)
    if len(rows) < min(asked.best, MATCHES) and narrowed(asked):
        # Somebody else's chunks may have taken all the places.
        rows = await fetch(session, sql, given | {"most": _EVERYTHING})
    return [Match(row[0], UUID(row[1]), row[2], row[3]) for row in rows[:MATCHES]]


async def _rare(session: AsyncSession, pieces: Sequence[str]) -> list[str]:
    """The rarest pieces first, as many as the budget allows; those of no chunk left out."""
    rows = await fetch(session, _COUNTS, {"pieces": json.dumps(pieces)})
    chosen: list[str] = []
    left = _POSTINGS
    for term, count in sorted(rows, key=lambda row: row[1]):
        if chosen and count > left:
            break
        chosen.append(term)
        left -= count
    return chosen


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
                self._matrix = Matrix(space.dimension)
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


def _cache_of(db: Database) -> _Cache:
    return _caches.setdefault(db, _Cache())
