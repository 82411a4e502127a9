"""Keeping what is indexed up to date: older chunks, another model, and what is left behind."""

from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select

from app.core.db import Database
from app.documents import chunking, chunks
from app.documents.models import Document, DocumentStatus
from app.embedding import spaces
from app.jobs.context import JobContext

_BATCH_DOCUMENTS = 100
_BATCH_CHUNKS = 100
_TABLE = "chunk_embeddings"


async def ready_model(ctx: JobContext) -> int:
    """The row of the model that is set, which search asks if it asks none yet."""
    identity = await ctx.resources.embedder.identity()
    async with ctx.step() as step:
        model = await spaces.model_id(step.session, identity)
        await spaces.make_index(step.session, _TABLE, model, identity.dimension)
        await spaces.first_goes_live(step.session, chunks.SPACE, model)
    return model


async def outdated(db: Database) -> AsyncGenerator[Sequence[Document]]:
    """Documents that are ready, by chunks of an older version or, from before chunks, by none."""
    after: UUID | None = None
    old = or_(Document.chunker.is_(None), Document.chunker != chunking.VERSION)
    while True:
        statement = select(Document).where(Document.status == DocumentStatus.READY, old)
        if after is not None:
            statement = statement.where(Document.id > after)
        async with db.reading() as session:
            found = await session.scalars(statement.order_by(Document.id).limit(_BATCH_DOCUMENTS))
            batch = list(found)
        if not batch:
            return
        yield batch
        after = batch[-1].id


async def switch_model(ctx: JobContext) -> dict[str, Any]:
    """Embed every live chunk that has no vector of the model that is set, then search asks it.

    Search asks the old one until the new one has them all. New documents have vectors of the new
    one alone, so until then they are found by their words. A model of the same key under another
    name is the same: nothing is embedded. The old vectors go afterwards.
    """
    async with ctx.resources.db.reading() as session:
        live = (await spaces.space(session, chunks.SPACE)).model_id
    if live is None:
        return {"embedded": 0}
    embedded = await _embed_all(ctx, await ready_model(ctx))
    await _remove_others(ctx)
    return {"embedded": embedded}


async def remove_chunks(ctx: JobContext, document_id: UUID, *, keep: Collection[int]) -> None:
    """Remove the chunks of all generations but those, then the vectors that none of them needs."""
    db = ctx.resources.db
    while True:
        async with db.reading() as session:
            dead = await chunks.first_dead(session, document_id, keep)
        if dead is None:
            break
        async with ctx.step() as step:
            await chunks.remove_batch(step.session, document_id, dead)
    while True:
        async with db.reading() as session:
            if not await chunks.orphans(session, document_id):
                return
        async with ctx.step() as step:
            await chunks.remove_orphans(step.session, document_id)


async def _embed_all(ctx: JobContext, model: int) -> int:
    """Embed what has no vector of `model`, then let search ask it, in one transaction."""
    embedded = 0
    while True:
        async with ctx.resources.db.reading() as session:
            missing = await chunks.without_vector(session, model, _BATCH_CHUNKS)
        vectors = await ctx.resources.embedder.embed([each.text for each in missing])
        async with ctx.step(stage="embedding") as step:
            if missing:
                await chunks.save_found(step.session, model, missing, vectors)
                step.advance(len(missing))
            elif not await chunks.without_vector(step.session, model, 1):
                await spaces.go_live(step.session, chunks.SPACE, model)
                return embedded
        embedded += len(missing)


async def _remove_others(ctx: JobContext) -> None:
    """Remove the vectors of every model that search does not ask, batch by batch."""
    while True:
        async with ctx.step() as step:
            live = (await spaces.space(step.session, chunks.SPACE)).model_id
            other = None if live is None else await chunks.other_model(step.session, live)
            if other is None:
                return
            if await chunks.remove_vectors(step.session, other):
                await spaces.drop_index(step.session, _TABLE, other)
