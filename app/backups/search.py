"""Searching what was indexed from backups, by words.

Hits are ranked over their keys alone; the texts are fetched of the best ones only. Both databases
join the live generation in the same statement, so half an index run is never found.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import TextualSelect, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.backups.domains import DOMAINS
from app.backups.views import Ids
from app.core.columns import Id, UtcDateTime
from app.core.db import on_sqlite
from app.core.search import NOTHING, Asked, Found, Hit, Query
from app.resources import Resources

KINDS = frozenset(domain.feed.kind for domain in DOMAINS)

_LONGEST = 50_000  # characters of a text that are looked at for a snippet
_LIVE = """
JOIN backup_artifacts a ON a.backup_id = s.backup_id AND a.domain = s.domain
  AND a.live_generation = s.generation
JOIN backups b ON b.id = s.backup_id"""
_SHOWN = f"""
SELECT s.kind, s.backup_id, s.number, s.title, substr(s.text, 1, {_LONGEST}) AS text, s.person,
  s.timestamp, best.score, (SELECT count(*) FROM matching) AS total
FROM best JOIN artifact_search_index s ON s.id = best.id
ORDER BY best.score DESC, s.timestamp DESC, s.id"""  # noqa: S608 -- our own number

# FTS5 first, and each of its rows looked up: SQLite would walk the other way round for ever.
_SQLITE = f"""
WITH matching AS (
  SELECT s.id, -bm25(artifact_search_fts, 4.0, 1.0, 1.0, 1.0) AS score, s.timestamp
  FROM artifact_search_fts CROSS JOIN artifact_search_index s
    ON s.id = artifact_search_fts.rowid {_LIVE}
  WHERE artifact_search_fts MATCH :match {{where}}),
best AS (SELECT * FROM matching ORDER BY score DESC, timestamp DESC, id LIMIT :best)
{_SHOWN}"""  # noqa: S608 -- pieces of this page
_POSTGRESQL = f"""
WITH matching AS (
  SELECT s.id, s.timestamp, ts_rank(s.terms, to_tsquery('headway', :match), 1) AS score
  FROM artifact_search_index s {_LIVE}
  WHERE s.terms @@ to_tsquery('headway', :match) {{where}}),
best AS (
  SELECT * FROM matching ORDER BY score DESC, timestamp DESC NULLS LAST, id LIMIT :best)
{_SHOWN} """  # noqa: S608 -- pieces of this page


async def by_words(_resources: Resources, session: AsyncSession, asked: Asked) -> Found:
    """The items of backups that match, the best first; title and text count, and the person.

    Where none has all that was asked for, any of it is enough: a question is a sentence.
    """
    if asked.document_id is not None:
        return NOTHING
    found = await _matching(session, asked, asked.query)
    if not found.hits and asked.query.loosened is not None:
        return (await _matching(session, asked, asked.query.loosened))._replace(loose=True)
    return found


async def _matching(session: AsyncSession, asked: Asked, query: Query) -> Found:
    sqlite = on_sqlite(session)
    match = query.fts5() if sqlite else query.tsquery()
    if not match:
        return NOTHING
    kinds = None if asked.kinds is None else sorted(asked.kinds)
    given = {"owner_id": asked.owner_id, "backup_id": asked.backup_id, "kinds": kinds}
    narrowed = [name for name, value in given.items() if value is not None]
    values = given | {"match": match, "best": asked.best}
    rows = (await session.execute(_statement(sqlite, *narrowed), values)).mappings().all()
    return Found(list(_hits(rows)), rows[0]["total"] if rows else 0)


# What narrows a search down, and the parameters of that.
_FILTERS = {
    "owner_id": (" AND b.owner_id = :owner_id", bindparam("owner_id", type_=Id())),
    "backup_id": (" AND s.backup_id = :backup_id", bindparam("backup_id", type_=Id())),
    "kinds": (" AND s.kind IN :kinds", bindparam("kinds", expanding=True)),
}


@lru_cache  # making one takes as long as finding nothing
def _statement(sqlite: bool, *narrowed: str) -> TextualSelect:
    where = "".join(_FILTERS[name][0] for name in narrowed)
    sql = (_SQLITE if sqlite else _POSTGRESQL).format(where=where)
    typed = text(sql).bindparams(*(_FILTERS[name][1] for name in narrowed))
    return typed.columns(backup_id=Id(), timestamp=UtcDateTime())


def _hits(rows: Iterable[Mapping[Any, Any]]) -> Iterable[Hit]:
    ids: dict[UUID, Ids] = {}
    for row in rows:
        backup_id = row["backup_id"]
        of = ids.setdefault(backup_id, Ids(backup_id))
        yield Hit(
            kind=row["kind"],
            id=of[row["kind"]].of(row["number"]),
            title=row["title"],
            text=row["text"] or "",
            score=float(row["score"]),
            timestamp=row["timestamp"],
            person=row["person"],
            backup_id=backup_id,
        )
