"""Finding chunks on PostgreSQL: tsvector for words, numbered pieces, pgvector for vectors."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import Database, fetch
from app.core.search import Asked, Term, tsquery_of
from app.core.vectors import to_floats
from app.documents.chunks import number_of
from app.documents.find import LIVE, MATCHES, Match, narrowed, values
from app.documents.pieces import CANDIDATES, SAMPLED, Sample, bm25, rare
from app.embedding.spaces import Space
from app.embedding.vectors import Vectors

# `ts_rank` knows nothing of how rare a word is, so what it likes best is ranked again, word by word.
_WORDS = """
WITH terms AS MATERIALIZED (
  SELECT to_tsquery('headway', term) AS meant, weight
  FROM unnest(CAST(:terms AS text[]), CAST(:weights AS float8[])) AS t (term, weight)
), best AS MATERIALIZED (
  SELECT c.seq, c.document_id, c.page_number, c.words
  FROM to_tsquery('headway', :meant) AS asked (meant)
  JOIN chunks AS c ON c.words @@ asked.meant
  JOIN documents AS d ON {live}{narrowed}
  ORDER BY ts_rank(c.words, asked.meant, 1) DESC LIMIT :most
)
SELECT seq, document_id, page_number,
  (SELECT sum(weight * ts_rank(best.words, meant, 1)) FROM terms) AS score
FROM best ORDER BY score DESC
"""
# The index first, and by itself: it is asked for rare pieces only. Coming from the documents, or
# reading the table, would unpack the pieces of every chunk, which the planner takes for nothing.
_PIECES = """
WITH f AS MATERIALIZED (
  SELECT seq FROM chunks WHERE pieces && CAST(:rare AS integer[])
)
SELECT c.seq, c.document_id, c.page_number, c.title, c.text
FROM f JOIN chunks AS c ON c.seq = f.seq JOIN documents AS d ON {live}{narrowed}
WHERE true{refused} LIMIT :most
"""
_BY_INDEX = "SELECT set_config('enable_seqscan', 'off', true)"
_NEAREST = """
SELECT c.seq, c.document_id, c.page_number, -e.distance AS score FROM (
  SELECT e.chunk_id, e.vector::halfvec({dimension})
    <#> CAST(CAST(:vector AS real[]) AS halfvec({dimension})) AS distance
  FROM chunk_embeddings AS e JOIN documents AS d ON d.id = e.document_id
    AND d.indexed_generation IS NOT NULL{narrowed}
  WHERE e.model_id = {model}
  ORDER BY distance LIMIT :most
) AS e JOIN chunks AS c ON c.id = e.chunk_id JOIN documents AS d ON {live}
ORDER BY score DESC
"""
_SETTINGS = """
SELECT set_config('hnsw.iterative_scan', 'strict_order', true),
  set_config('hnsw.ef_search', '200', true),
  set_config('hnsw.max_scan_tuples', '{most}', true)
"""
_SAMPLE = """
WITH sampled AS MATERIALIZED (
  SELECT pieces, words FROM chunks TABLESAMPLE BERNOULLI ({percent})
  ORDER BY random() LIMIT {most}
)
SELECT piece, NULL, count(*) FROM sampled, unnest(pieces) AS piece GROUP BY piece
UNION ALL
SELECT NULL, stem, count(*) FROM sampled, unnest(tsvector_to_array(words)) AS stem GROUP BY stem
UNION ALL
SELECT NULL, NULL, count(*) FROM sampled
"""
_STEMS = """
SELECT tsvector_to_array(to_tsvector('headway', said))
FROM unnest(CAST(:said AS text[])) WITH ORDINALITY AS asked (said, place) ORDER BY place
"""

_RANKED_AGAIN = 400  # chunks
_PLENTY = 30  # chunks with the rarest terms, so that commoner ones need not be looked for
# Vectors that the index is asked to go through: few of the nearest may be one owner's.
_SCANNED, _SCANNED_OF_ONE = 20_000, 200_000
_REFUSED = " AND NOT c.words @@ to_tsquery('headway', :refused)"


async def by_words(session: AsyncSession, asked: Asked, terms: Sequence[Term]) -> list[Match]:
    """Chunks that have some of the terms.

    Of a common word the index gives half of the table, so it is asked for the rarest terms first;
    the others count for what those have found, unless that is too little.
    """
    sample = await _sample(session)
    common = await _common(session, sample, terms)
    weights = [sample.weight(having) for having in common]
    rarest = _enough(terms, [having * sample.in_all for having in common])
    found = await _ranked(session, asked, rarest, terms, weights)
    if len(found) < max(asked.best, _PLENTY) and len(rarest) < len(terms):
        # Beside them, not in their place: of very many the rank in the index takes the shortest.
        more = await _ranked(session, asked, terms, terms, weights)
        both = {match.seq: match for match in (*more, *found)}
        found = sorted(both.values(), key=lambda match: -match.score)
    return found


async def _ranked(
    session: AsyncSession,
    asked: Asked,
    some: Sequence[Term],
    terms: Sequence[Term],
    weights: Sequence[float],
) -> list[Match]:
    """The best chunks that have `some` of the terms, in the order of all of them."""
    meant = " | ".join(map(tsquery_of, some))
    if asked.query.without:
        refused = " | ".join(map(tsquery_of, asked.query.without))
        meant = f"({meant}) & !({refused})"
    sql = _WORDS.format(live=LIVE, narrowed=narrowed(asked))
    given: dict[str, Any] = values(asked, as_text=False)
    given |= {"meant": meant, "most": _RANKED_AGAIN}
    given |= {"terms": list(map(tsquery_of, terms)), "weights": list(weights)}
    return [Match(*row) for row in await fetch(session, sql, given)]


async def by_pieces(session: AsyncSession, asked: Asked, pieces: Sequence[str]) -> list[Match]:
    """Chunks that have the rarest of the pieces, in the order of BM25 over all of them.

    None where even those are in very many chunks and there are words to go by.
    """
    refused = " | ".join(map(tsquery_of, asked.query.without))
    sample = await _sample(session)
    sql = _PIECES.format(live=LIVE, narrowed=narrowed(asked), refused=_REFUSED * bool(refused))
    given: dict[str, Any] = values(asked, as_text=False)
    rarest = rare(pieces, sample)
    given |= {"rare": list(map(number_of, rarest)), "most": CANDIDATES + 1}
    given |= {"refused": refused} if refused else {}
    await session.execute(text(_BY_INDEX))
    rows = await fetch(session, sql, given)
    if len(rows) < asked.best and narrowed(asked) and not asked.query.has_words:
        # Somebody else's chunks may be all that has the rarest, and there is no other way.
        rows = await fetch(session, sql, given | {"rare": list(map(number_of, pieces))})
    if len(rows) > CANDIDATES and asked.query.has_words:
        return []
    scores = bm25([f"{row[3]}\n{row[4]}" for row in rows], pieces, sample)
    found = [Match(row[0], row[1], row[2], score) for row, score in zip(rows, scores, strict=True)]
    return sorted(found, key=lambda match: -match.score)


async def by_meaning(
    _db: Database, session: AsyncSession, asked: Asked, space: Space, vector: Vectors
) -> list[Match]:
    """Chunks whose vectors are nearest, by the model's index; exact where it has none."""
    most = _SCANNED_OF_ONE if narrowed(asked) else _SCANNED
    await session.execute(text(_SETTINGS.format(most=most)))
    sql = _NEAREST.format(
        live=LIVE, narrowed=narrowed(asked), dimension=space.dimension, model=space.model_id
    )
    given = values(asked, as_text=False)
    given |= {"vector": to_floats(vector), "most": min(MATCHES, 2 * max(asked.best, 100))}
    return [Match(*row) for row in await fetch(session, sql, given)]


async def _common(session: AsyncSession, sample: Sample, terms: Sequence[Term]) -> list[float]:
    """How many chunks of the sample have each term."""
    rows = await fetch(session, _STEMS, {"said": [" ".join(term.words) for term in terms]})
    return [
        sample.common_stems(stems, prefix=term.prefix)
        for term, (stems,) in zip(terms, rows, strict=True)
    ]


def _enough(terms: Sequence[Term], expected: Sequence[float]) -> list[Term]:
    """The rarest terms, as many as promise no more than `MATCHES` chunks."""
    chosen: list[Term] = []
    promised = 0.0
    for place in sorted(range(len(terms)), key=expected.__getitem__):
        if chosen and promised + expected[place] > MATCHES:
            break
        chosen.append(terms[place])
        promised += expected[place]
    return chosen


async def _sample(session: AsyncSession) -> Sample:
    """The sample of this database; a new one when the last is old."""
    engine = session.get_bind()
    kept = _samples.get(engine)
    if kept is None or kept.stale:
        ((seq,),) = await fetch(session, "SELECT coalesce(max(seq), 0) FROM chunks", {})
        percent = min(100.0, 200 * SAMPLED / max(1, seq))
        rows = await fetch(session, _SAMPLE.format(percent=percent, most=SAMPLED), {})
        pieces = {piece: count for piece, _, count in rows if piece is not None}
        stems = {stem: count for _, stem, count in rows if stem is not None}
        chunks = sum(count for piece, stem, count in rows if piece is None and stem is None)
        kept = _samples[engine] = Sample.of(chunks, pieces, seq, stems)
    return kept


_samples: WeakKeyDictionary[Any, Sample] = WeakKeyDictionary()
