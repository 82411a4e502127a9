"""SQL on chunks and their vectors, generation by generation; nobody here commits."""

import hashlib
import zlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import numpy as np
from sqlalchemy import CursorResult, case, delete, exists, func, insert, null, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import on_sqlite
from app.documents import chunking
from app.documents.chunking import chunks_of
from app.documents.models import Chunk, ChunkEmbedding, Document
from app.embedding.vectors import Vectors

SPACE = "chunks"  # the name of these vectors' space
_REMOVED_AT_ONCE = 300  # chunks per transaction: their text leaves two indexes


class Piece(NamedTuple):
    """A chunk that is about to be stored."""

    id: UUID
    page_number: int
    start: int
    end: int
    text: str


class Waiting(NamedTuple):
    """A live chunk without a vector, and what that is made of."""

    id: UUID
    document_id: UUID
    text: str


class Unembedded(NamedTuple):
    """A chunk of a batch: what its vector is made of, None when it has one already."""

    position: int
    id: UUID
    text: str | None


def pieces_of(document_id: UUID, title: str, number: int, page_text: str) -> Iterable[Piece]:
    """The chunks of a page. The same text at the same place is the same chunk, always.

    `title` is the PDF's own, or nothing; it is embedded along with each chunk.
    """
    for chunk in chunks_of(page_text):
        yield Piece(_id(document_id, title, number, chunk), number, *chunk)


def _id(document_id: UUID, title: str, number: int, chunk: chunking.Chunk) -> UUID:
    digest = hashlib.sha256(embedded_text(title, chunk.text).encode()).hexdigest()
    return uuid5(document_id, f"{chunking.VERSION}:{number}:{chunk.start}:{digest}")


def embedded_text(title: str, own: str) -> str:
    """What the model is given of a chunk."""
    return f"{title}\n{own}" if title else own


def trigrams(searched: str) -> list[int]:
    """Every three characters in a row, without regard to case, each once, as 32-bit numbers."""
    low = searched.lower()
    letters = np.frombuffer(low.encode("utf-32-le", "surrogatepass"), np.uint32)
    plain = letters < _ASCII
    plain = plain[:-2] & plain[1:-1] & plain[2:]
    first, second, third = (letters[place : len(plain) + place][plain] for place in range(3))
    found = np.unique(_FIRST[first] ^ _SECOND[second] ^ _THIRD[third]).astype(np.int64) - _HALF
    rest = {low[place : place + 3] for place in np.flatnonzero(~plain)}
    return [*found.tolist(), *map(number_of, rest)]


def number_of(trigram: str) -> int:
    """Three characters as PostgreSQL's `integer`; that two may share a number harms nobody."""
    return zlib.crc32(trigram.encode()) - _HALF


# A CRC of three bytes is that of each of them alone, put together by exclusive or. Looked up so,
# the numbers of a chunk take less than half the time.
_ASCII, _HALF = 128, 2**31
_NONE = zlib.crc32(bytes(3))
_FIRST = np.array([zlib.crc32(bytes([one, 0, 0])) for one in range(_ASCII)], np.uint32)
_SECOND = np.array([zlib.crc32(bytes([0, one, 0])) ^ _NONE for one in range(_ASCII)], np.uint32)
_THIRD = np.array([zlib.crc32(bytes([0, 0, one])) ^ _NONE for one in range(_ASCII)], np.uint32)


async def save(
    session: AsyncSession,
    document_id: UUID,
    generation: int,
    heading: str,
    first: int,
    pieces: Sequence[Piece],
) -> None:
    """Store chunks from position `first` on, and feed the text indexes.

    `heading` is what the document is called; words of it find each of its chunks.
    """
    rows: list[dict[str, Any]] = [
        {
            "id": piece.id,
            "document_id": document_id,
            "generation": generation,
            "position": position,
            "page_number": piece.page_number,
            "char_start": piece.start,
            "char_end": piece.end,
            "title": heading,
            "text": piece.text,
        }
        for position, piece in enumerate(pieces, first)
    ]
    if not rows:
        return
    if on_sqlite(session):
        await session.execute(insert(Chunk), rows)
        return
    for row in rows:
        row["pieces"] = trigrams(f"{heading}\n{row['text']}")
    await session.execute(text(_INSERT_POSTGRESQL), rows)


_INSERT_POSTGRESQL = """
INSERT INTO chunks (id, document_id, generation, position, page_number, char_start, char_end,
  title, text, pieces, words)
VALUES (:id, :document_id, :generation, :position, :page_number, :char_start, :char_end,
  :title, :text, :pieces,
  setweight(to_tsvector('headway', headway_fold(:title)), 'A')
  || setweight(to_tsvector('headway', headway_fold(:text)), 'B'))
"""


async def count(session: AsyncSession, document_id: UUID, generation: int) -> int:
    """How many chunks a generation has."""
    statement = select(func.count()).where(
        Chunk.document_id == document_id, Chunk.generation == generation
    )
    return await session.scalar(statement) or 0


async def batch(
    session: AsyncSession,
    document_id: UUID,
    generation: int,
    model_id: int,
    title: str,
    *,
    first: int,
    limit: int,
) -> list[Unembedded]:
    """Up to `limit` chunks of a generation from position `first` on, in order."""
    vector = exists().where(
        ChunkEmbedding.model_id == model_id, ChunkEmbedding.chunk_id == Chunk.id
    )
    statement = (
        select(Chunk.position, Chunk.id, case((vector, null()), else_=Chunk.text))
        .where(Chunk.document_id == document_id, Chunk.generation == generation)
        .where(Chunk.position >= first, Chunk.position < first + limit)
        .order_by(Chunk.position)
    )
    return [
        Unembedded(position, id_, None if own is None else embedded_text(title, own))
        for position, id_, own in await session.execute(statement)
    ]


async def save_vectors(
    session: AsyncSession,
    document_id: UUID,
    model_id: int,
    ids: Sequence[UUID],
    vectors: Vectors,
) -> None:
    """Store the vectors of chunks; one that is there already stays."""
    if not ids:
        return
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    shared = {"model_id": model_id, "document_id": document_id, "chunker": chunking.VERSION}
    rows = [
        {**shared, "chunk_id": id_, "vector": vector}
        for id_, vector in zip(ids, vectors, strict=True)
    ]
    await session.execute(dialect.insert(ChunkEmbedding).on_conflict_do_nothing(), rows)


async def live(session: AsyncSession, document_id: UUID, *, limit: int, offset: int) -> list[Chunk]:
    """Part of the live chunks, in order; one statement, so never of two generations."""
    statement = (
        select(Chunk)
        .join(
            Document,
            (Document.id == Chunk.document_id) & (Document.indexed_generation == Chunk.generation),
        )
        .where(Document.id == document_id)
        .where(Chunk.position >= offset, Chunk.position < offset + limit)
        .order_by(Chunk.position)
    )
    return list(await session.scalars(statement))


async def first_dead(session: AsyncSession, document_id: UUID, keep: Collection[int]) -> int | None:
    """A generation outside `keep` that still has chunks."""
    statement = select(Chunk.generation).where(
        Chunk.document_id == document_id, Chunk.generation.not_in(keep)
    )
    found: int | None = await session.scalar(statement.limit(1))
    return found


async def remove_batch(session: AsyncSession, document_id: UUID, generation: int) -> int:
    """Remove a batch of chunks of a dead generation, and what the indexes have of them."""
    some = (
        select(Chunk.seq)
        .where(Chunk.document_id == document_id, Chunk.generation == generation)
        .order_by(Chunk.position)
        .limit(_REMOVED_AT_ONCE)
    )
    return await _removed(session, delete(Chunk).where(Chunk.seq.in_(some)))


async def orphans(
    session: AsyncSession, document_id: UUID, limit: int = 1
) -> list[tuple[int, UUID]]:
    """Model and chunk of vectors whose chunk is in no generation of the document any more."""
    chunk = exists().where(Chunk.id == ChunkEmbedding.chunk_id)
    statement = (
        select(ChunkEmbedding.model_id, ChunkEmbedding.chunk_id)
        .where(ChunkEmbedding.document_id == document_id, ~chunk)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def remove_orphans(session: AsyncSession, document_id: UUID) -> None:
    """Remove a batch of those vectors."""
    found = await orphans(session, document_id, _REMOVED_AT_ONCE)
    for model_id in {model_id for model_id, _ in found}:
        ids = [id_ for model, id_ in found if model == model_id]
        mine = (ChunkEmbedding.model_id == model_id, ChunkEmbedding.chunk_id.in_(ids))
        await _removed(session, delete(ChunkEmbedding).where(*mine))


async def without_vector(session: AsyncSession, model_id: int, limit: int) -> list[Waiting]:
    """Live chunks, of all owners, that have no vector of this model."""
    vector = exists().where(
        ChunkEmbedding.model_id == model_id, ChunkEmbedding.chunk_id == Chunk.id
    )
    statement = (
        select(Chunk.id, Chunk.document_id, Document.title, Chunk.text)
        .join(
            Document,
            (Document.id == Chunk.document_id) & (Document.indexed_generation == Chunk.generation),
        )
        .where(~vector)
        .limit(limit)
    )
    return [
        Waiting(id_, document_id, embedded_text(title or "", own))
        for id_, document_id, title, own in await session.execute(statement)
    ]


async def save_found(
    session: AsyncSession, model_id: int, waiting: Sequence[Waiting], vectors: Vectors
) -> None:
    """Store the vectors of chunks of several documents; of one that is gone, none."""
    for document_id in {each.document_id for each in waiting}:
        statement = select(Document.id).where(Document.id == document_id)
        if await session.scalar(statement.with_for_update(read=True, key_share=True)) is None:
            continue
        mine = [place for place, each in enumerate(waiting) if each.document_id == document_id]
        ids = [waiting[place].id for place in mine]
        await save_vectors(session, document_id, model_id, ids, vectors[mine])


async def other_model(session: AsyncSession, live: int) -> int | None:
    """A model besides the live one that has vectors."""
    statement = select(ChunkEmbedding.model_id).where(ChunkEmbedding.model_id != live).limit(1)
    found: int | None = await session.scalar(statement)
    return found


async def remove_vectors(session: AsyncSession, model_id: int) -> bool:
    """Remove a batch of a model's vectors; whether those were the last."""
    some = (
        select(ChunkEmbedding.chunk_id)
        .where(ChunkEmbedding.model_id == model_id)
        .limit(10 * _REMOVED_AT_ONCE)
    )
    mine = (ChunkEmbedding.model_id == model_id, ChunkEmbedding.chunk_id.in_(some))
    removed = await _removed(session, delete(ChunkEmbedding).where(*mine))
    return removed < 10 * _REMOVED_AT_ONCE


async def _removed(session: AsyncSession, statement: Any) -> int:
    result = await session.execute(statement.execution_options(synchronize_session=False))
    return result.rowcount if isinstance(result, CursorResult) else 0
