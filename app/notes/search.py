"""Searching notes, by their words and by their meaning.

Of a note that was rewritten and not yet embedded again, the old meaning is not searched.
"""

import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import Id, UtcDateTime
from app.core.db import on_sqlite
from app.core.errors import AppError
from app.core.search import NOTHING, Asked, Found, Hit
from app.core.vectors import to_floats
from app.embedding.models import EmbeddingModel
from app.embedding.vectors import Vectors
from app.notes.models import Note, NoteEmbedding
from app.resources import Resources

log = logging.getLogger(__name__)

KINDS = frozenset({"note"})
_DEPTH = 100  # notes that each way gives at least
_LONGEST = 50_000  # characters of a text that are looked at for a snippet

# FTS5 first, and each of its rows looked up: SQLite would walk the other way round for ever.
_MATCHING = {
    True: """SELECT n.seq, -bm25(note_words, 4.0, 1.0) AS score
  FROM note_words CROSS JOIN notes n ON n.seq = note_words.rowid
  WHERE note_words MATCH :match {mine}""",
    False: """SELECT n.seq, ts_rank(n.words, asked.meant, 1) AS score
  FROM to_tsquery('headway', :match) AS asked (meant) JOIN notes n ON n.words @@ asked.meant
  WHERE true {mine}""",
}
_BY_WORDS = f"""
WITH matching AS ({{matching}}),
best AS (SELECT * FROM matching ORDER BY score DESC, seq DESC LIMIT :best)
SELECT n.id, n.title, substr(n.content, 1, {_LONGEST}) AS content, n.updated_at, best.score,
  (SELECT count(*) FROM matching) AS total
FROM best JOIN notes n ON n.seq = best.seq ORDER BY best.score DESC, n.seq DESC"""  # noqa: S608
_NEAREST = """
SELECT n.id, -(e.vector <#> CAST(CAST(:vector AS real[]) AS halfvec)) AS score
FROM note_embeddings e JOIN notes n ON n.id = e.note_id AND n.text_hash = e.text_hash
WHERE e.model_id = :model AND e.vector IS NOT NULL {mine}
ORDER BY score DESC LIMIT :best"""


async def by_words(_resources: Resources, session: AsyncSession, asked: Asked) -> Found | None:
    """Notes that have all the words, the best first; a word in the title counts for more."""
    if _elsewhere(asked):
        return NOTHING
    sqlite = on_sqlite(session)
    match = asked.query.fts5() if sqlite else asked.query.tsquery()
    if not match:
        return None
    mine, values, typed = _mine(asked)
    sql = _BY_WORDS.format(matching=_MATCHING[sqlite].format(mine=mine))
    statement = text(sql).bindparams(*typed).columns(id=Id(), updated_at=UtcDateTime())
    values |= {"match": match, "best": _depth(asked)}
    rows = (await session.execute(statement, values)).all()
    hits = [_hit(row.id, row.title, row.content, row.score, row.updated_at) for row in rows]
    return Found(hits, rows[0].total if rows else 0)


async def by_meaning(resources: Resources, session: AsyncSession, asked: Asked) -> Found | None:
    """Notes whose vectors by the model that is set are nearest to the question's.

    None when the model does not answer, when it has embedded nothing yet, and of what must not be
    said: a vector knows no "not".
    """
    if _elsewhere(asked) or asked.query.without:
        return None
    embedder = resources.embedder
    try:
        key = (await embedder.identity()).key
        model = await session.scalar(select(EmbeddingModel.id).where(EmbeddingModel.key == key))
        if model is None:
            return None
        question = (await embedder.embed([asked.text]))[0]
    except AppError as error:
        log.warning("notes searched without meaning", extra={"error": str(error)})
        return None
    nearest = _nearest_on_sqlite if on_sqlite(session) else _nearest_on_postgresql
    scores = await nearest(session, asked, model, question)
    if not scores:
        return NOTHING
    notes = {
        note.id: note for note in await session.scalars(select(Note).where(Note.id.in_(scores)))
    }
    found = [
        _hit(id_, notes[id_].title, notes[id_].content[:_LONGEST], score, notes[id_].updated_at)
        for id_, score in scores.items()
        if id_ in notes
    ]
    return Found(found, len(found))


async def _nearest_on_postgresql(
    session: AsyncSession, asked: Asked, model: int, question: Vectors
) -> dict[UUID, float]:
    mine, values, typed = _mine(asked)
    statement = text(_NEAREST.format(mine=mine)).bindparams(*typed).columns(id=Id())
    values |= {"vector": to_floats(question), "model": model, "best": _depth(asked)}
    return {row.id: row.score for row in await session.execute(statement, values)}


async def _nearest_on_sqlite(
    session: AsyncSession, asked: Asked, model: int, question: Vectors
) -> dict[UUID, float]:
    """Every vector of the owner is compared: a thousand take a millisecond or two."""
    fresh = (Note.id == NoteEmbedding.note_id) & (Note.text_hash == NoteEmbedding.text_hash)
    statement = (
        select(NoteEmbedding.note_id, NoteEmbedding.vector)
        .join(Note, fresh)
        .where(NoteEmbedding.model_id == model, NoteEmbedding.vector.is_not(None))
    )
    if asked.owner_id is not None:
        statement = statement.where(Note.owner_id == asked.owner_id)
    rows = (await session.execute(statement)).all()
    if not rows:
        return {}
    scores = np.stack([row.vector for row in rows]) @ question
    order: Iterable[int] = np.argsort(-scores, kind="stable")[: _depth(asked)]
    return {rows[place].note_id: float(scores[place]) for place in order}


def _depth(asked: Asked) -> int:
    """How many notes a leg gives: as many for every page, else their fusion would differ."""
    return max(asked.best, _DEPTH)


def _elsewhere(asked: Asked) -> bool:
    """Whether something is searched that has no notes in it."""
    return asked.backup_id is not None or asked.document_id is not None


def _mine(asked: Asked) -> tuple[str, dict[str, Any], list[Any]]:
    """What narrows a search to the owner's notes: SQL, values and their types."""
    if asked.owner_id is None:
        return "", {}, []
    return "AND n.owner_id = :owner", {"owner": asked.owner_id}, [bindparam("owner", type_=Id())]


def _hit(note_id: UUID, title: str, content: str, score: float, moment: Any) -> Hit:
    return Hit("note", note_id, title, content, float(score), moment)
