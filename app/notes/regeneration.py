"""How a regeneration goes through the notes of one owner, batch by batch."""

import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.embedding import Embedder, EmbeddingRefused, spaces
from app.jobs.context import JobContext
from app.notes import embeddings
from app.notes.embeddings import Waiting

log = logging.getLogger("worker")

BATCH_NOTES = 100  # one call of the model, one commit, one progress write
NAMED_NOTES = 1_000  # that failed; the result names so many
_PLAIN_TEXT = "note"  # if the model refuses even this, no note is to blame


class Regeneration:
    """One attempt of a job. `cursor` is None while only stale notes are done.

    For all notes it is where the walk over them stands: {"after": id} or, at its end, {"done": true}.
    """

    def __init__(self, ctx: JobContext, owner_id: UUID) -> None:
        """Work for `ctx` on the notes of `owner_id`."""
        self._ctx = ctx
        self._owner = owner_id
        self._db, self._embedder = ctx.resources.db, ctx.resources.embedder
        self._model = 0

    async def run(self) -> None:
        """Do batches until no note is stale, and end the job in the transaction that saw so."""
        identity = await self._embedder.identity()
        async with self._ctx.step(stage="embedding") as step:
            self._model = await spaces.model_id(step.session, identity)
        while True:
            await self._turn_to_all_if_asked()
            notes = await self._next()
            if notes:
                await self._do(notes)
            elif await self._end():
                return

    async def _turn_to_all_if_asked(self) -> None:
        """Begin with all notes, anew if some were done, once somebody has asked for that."""
        ctx = self._ctx
        if ctx.cursor is not None:
            return
        async with self._db.reading() as session:
            if not await embeddings.is_for_all(session, self._owner, ctx.job_id):
                return
            total = await embeddings.count(session, self._owner)
        async with ctx.step(total=total, restart=ctx.total is not None) as step:
            step.advance(cursor={"after": None})

    async def _next(self) -> list[Waiting]:
        """The next batch; none when nothing is left to be done."""
        ctx = self._ctx
        if ctx.cursor is not None and "after" in ctx.cursor:
            after = ctx.cursor["after"]
            async with self._db.reading() as session:
                notes = await embeddings.all_after(
                    session, self._owner, self._model, UUID(after) if after else None, BATCH_NOTES
                )
            if notes:
                return notes
            async with ctx.step() as step:
                step.advance(cursor={"done": True})
        async with self._db.reading() as session:
            return await embeddings.stale(session, self._owner, self._model, BATCH_NOTES)

    async def _do(self, notes: Sequence[Waiting]) -> None:
        """Embed what has to be, and store it with the progress.

        A note that was rewritten meanwhile is not counted: it is stale, and comes again.
        """
        ctx = self._ctx
        wanted = [note for note in notes if note.text is not None]
        made = await embed_each(self._embedder, [note.text or "" for note in wanted])
        walking = ctx.cursor is not None and "after" in ctx.cursor
        cursor = {"after": str(notes[-1].id)} if walking else None
        async with ctx.step(total=await self._total(notes)) as step:
            kept = await embeddings.save(step.session, self._model, wanted, made)
            refused = {
                note.id for note, each in zip(wanted, made, strict=True) if isinstance(each, str)
            }
            failed = len(kept & refused)
            unchanged = len(notes) - len(wanted)
            step.advance(unchanged + len(kept) - failed, failed=failed, cursor=cursor)
        _tell(ctx)

    async def _total(self, notes: Sequence[Waiting]) -> int:
        """How many notes there are to do in all: as known, and more if more were written."""
        done = self._ctx.processed + self._ctx.failed
        known = self._ctx.total
        if known is None or known < done + len(notes):
            async with self._db.reading() as session:
                left = await embeddings.count_stale(session, self._owner, self._model)
            known = done + max(left, len(notes))
        return known

    async def _end(self) -> bool:
        """End the job, unless a note was written or all notes were asked for meanwhile."""
        ctx = self._ctx
        async with ctx.step() as step:
            session = step.session
            await embeddings.pass_gate(session, self._owner)
            for_all = await embeddings.is_for_all(session, self._owner, ctx.job_id)
            left = await embeddings.count_stale(session, self._owner, self._model)
            ends = not left and not (for_all and ctx.cursor is None)
            if ends:
                step.end(await self._result(session))
        return ends

    async def _result(self, session: Any) -> dict[str, Any]:
        since = await self._ctx.began(session)
        found = await embeddings.failures(session, self._owner, self._model, since, NAMED_NOTES)
        named = [{"note_id": str(each.note_id), "error": each.error} for each in found]
        return {
            "processed": self._ctx.processed,
            "failed": self._ctx.failed,
            "failed_notes": named,
        }


async def embed_each(embedder: Embedder, texts: Sequence[str]) -> list[Any]:
    """The vector of each text, or a sentence why the model will not have it.

    Raises:
        Unavailable: the model did not answer; the same call may succeed later.
        EmbeddingRefused: it will not have any text.
    """
    if not texts:
        return []
    try:
        return list(await embedder.embed(texts))
    except EmbeddingRefused:
        made = [await _one(embedder, text) for text in texts]
        if all(isinstance(each, str) for each in made):
            await embedder.embed([_PLAIN_TEXT])
        return made


async def _one(embedder: Embedder, text: str) -> Any:
    try:
        return (await embedder.embed([text]))[0]
    except EmbeddingRefused as error:
        return str(error)


def _tell(ctx: JobContext) -> None:
    done, total = ctx.processed + ctx.failed, ctx.total or 0
    percent = round(100 * done / total) if total else 0
    log.info(
        "Batch complete: %d/%d processed, %d failed, %d%% done", done, total, ctx.failed, percent
    )
