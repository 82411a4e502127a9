"""Finding chunks on PostgreSQL: tsvector for words, numbered pieces, pgvector for vectors."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import Database, fetch
from app.core.search import Asked, Term
from app.core.vectors import to_text
from app.documents.chunks import number_of
from app.documents.find import LIVE, MATCHES, Match, narrowed, values
from app.embedding.spaces import Space
from app.embedding.vectors import Vectors

_WORDS = """
SELECT c.seq, c.document_id, c.page_number, ts_rank(c.words, asked.meant, 1) AS score
FROM to_tsquery('headway', :meant) AS asked (meant)
JOIN chunks AS c ON c.words @@ asked.meant
JOIN documents AS d ON {live}{narrowed}
ORDER BY score DESC LIMIT :most
"""
_PIECES = """
SELECT c.seq, c.document_id, c.page_number, c.title, c.text
FROM chunks AS c JOIN documents AS d ON {live}{narrowed}
WHERE c.pieces && CAST(:rare AS integer[]){refused} LIMIT :most
"""
_NEAREST = """
SELECT c.seq, c.document_id, c.page_number, -e.distance AS score FROM (
  SELECT e.chunk_id, e.vector::halfvec({dimension}) <#> CAST(:vector AS halfvec({dimension}))
    AS distance
  FROM chunk_embeddings AS e JOIN documents AS d ON d.id = e.document_id{narrowed}
  WHERE e.model_id = {model}
  ORDER BY distance LIMIT :most
) AS e JOIN chunks AS c ON c.id = e.chunk_id JOIN documents AS d ON {live}
ORDER BY score DESC
"""
_SETTINGS = """
SELECT set_config('hnsw.iterative_scan', 'strict_order', true),
  set_config('hnsw.ef_search', '200', true)
"""
_SAMPLE = """
SELECT piece, count(*) FROM (
  SELECT pieces FROM chunks TABLESAMPLE BERNOULLI ({percent}) LIMIT {most}
) AS sampled, unnest(sampled.pieces || CAST(NULL AS integer)) AS piece GROUP BY piece
"""  # the NULL counts the chunks

_CANDIDATES = 400  # chunks whose text is looked at for pieces
_SAMPLED = 1_000  # chunks of which it is counted how common a piece is
_SAMPLE_SECONDS = 300.0
_K1, _B = 1.2, 0.75  # of BM25, as FTS5 has them


async def by_words(session: AsyncSession, asked: Asked, terms: Sequence[Term]) -> list[Match]:
    """Chunks that have some of the terms."""
    meant = " | ".join(map(_tsquery, terms))
    if asked.query.without:
        refused = " | ".join(map(_tsquery, asked.query.without))
        meant = f"({meant}) & !({refused})"
    sql = _WORDS.format(live=LIVE, narrowed=narrowed(asked))
    given = values(asked, as_text=False) | {"meant": meant, "most": MATCHES}
    return [Match(*row) for row in await fetch(session, sql, given)]


async def by_pieces(session: AsyncSession, asked: Asked, pieces: Sequence[str]) -> list[Match]:
    """Chunks that have the rarest of the pieces, in the order of BM25 over all of them."""
    counted = await _counted(session)
    rare = _rare(pieces, counted)
    if not rare:
        return []
    refused = " AND NOT c.words @@ to_tsquery('headway', :refused)" if asked.query.without else ""
    sql = _PIECES.format(live=LIVE, narrowed=narrowed(asked), refused=refused)
    given: dict[str, Any] = values(asked, as_text=False)
    given |= {"rare": [number_of(piece) for piece in rare], "most": _CANDIDATES}
    if refused:
        given["refused"] = " | ".join(map(_tsquery, asked.query.without))
    rows = await fetch(session, sql, given)
    scores = _bm25([f"{row[3]}\n{row[4]}".lower() for row in rows], pieces, counted)
    found = [Match(row[0], row[1], row[2], score) for row, score in zip(rows, scores, strict=True)]
    return sorted(found, key=lambda match: -match.score)


async def by_meaning(
    _db: Database, session: AsyncSession, asked: Asked, space: Space, vector: Vectors
) -> list[Match]:
    """Chunks whose vectors are nearest, by the model's index; exact where it has none."""
    await session.execute(text(_SETTINGS))
    sql = _NEAREST.format(
        live=LIVE, narrowed=narrowed(asked), dimension=space.dimension, model=space.model_id
    )
    given = values(asked, as_text=False)
    given |= {"vector": to_text(vector), "most": min(MATCHES, 2 * max(asked.best, 100))}
    return [Match(*row) for row in await fetch(session, sql, given)]


def _tsquery(term: Term) -> str:
    quoted = " <-> ".join(f"'{word}'" for word in term.words)
    return f"({quoted})" + (":*" if term.prefix and len(term.words) == 1 else "")


class _Counted(NamedTuple):
    """How common pieces are, by a sample."""

    chunks: int  # in the sample
    having: Mapping[int, int]  # of them, by the piece's number
    in_all: float  # chunks of the table for each one of the sample
    until: float  # by the monotonic clock

    def common(self, piece: str) -> float:
        """How many chunks of the sample have a piece; one that none has may still be somewhere."""
        return self.having.get(number_of(piece), 0) or 0.5 / self.in_all


_counted_of: WeakKeyDictionary[Any, _Counted] = WeakKeyDictionary()


async def _counted(session: AsyncSession) -> _Counted:
    """The sample of this database; `_SAMPLE_SECONDS` old at most."""
    engine = session.get_bind()
    kept = _counted_of.get(engine)
    if kept is None or time.monotonic() > kept.until:
        ((seq,),) = await fetch(session, "SELECT coalesce(max(seq), 0) FROM chunks", {})
        percent = min(100.0, 200 * _SAMPLED / max(1, seq))
        rows = await fetch(session, _SAMPLE.format(percent=percent, most=_SAMPLED), {})
        having = {row[0]: row[1] for row in rows if row[0] is not None}
        sampled = sum(row[1] for row in rows if row[0] is None) or 1
        until = time.monotonic() + _SAMPLE_SECONDS
        kept = _Counted(sampled, having, max(1.0, seq / sampled), until)
        _counted_of[engine] = kept
    return kept


def _rare(pieces: Sequence[str], counted: _Counted) -> list[str]:
    """The rarest pieces first, as many as promise no more than `_CANDIDATES` chunks."""
    chosen: list[str] = []
    left = float(_CANDIDATES)
    for piece in sorted(pieces, key=counted.common):
        expected = counted.common(piece) * counted.in_all
        if len(chosen) > 2 and expected > left:
            break
        chosen.append(piece)
        left -= expected
    return chosen


def _bm25(texts: Sequence[str], pieces: Sequence[str], counted: _Counted) -> list[float]:
    """The score of each text. Source: Robertson and Zaragoza, 2009, section 3.4.3."""
    mean = sum(map(len, texts)) / max(1, len(texts))
    idf = {
        piece: math.log(1 + (counted.chunks - has + 0.5) / (has + 0.5))
        for piece in pieces
        for has in [min(counted.common(piece), counted.chunks)]
    }
    scores = []
    for own in texts:
        room = _K1 * (1 - _B + _B * len(own) / mean)
        counts = ((piece, own.count(piece)) for piece in pieces)
        scores.append(sum(idf[piece] * n * (_K1 + 1) / (n + room) for piece, n in counts if n))
    return scores
