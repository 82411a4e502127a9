"""One domain of a backup, from the child's frames into a new generation: Messages.

    child:  read, decode ─▶ pipe ─▶ parent:  rows ─▶ one step: COPY + counters + cursor ─▶ flip

The child reads ahead while the parent writes. The cursor of the job says which generation is
being written, from which file, and up to which row, so a retry goes on in the same generation.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from app.backups import generations, store
from app.backups.message_rows import (
    About,
    Batch,
    End,
    Head,
    MessageRecord,
    RowMaker,
    decode,
    without_collector,
    write_conversations,
    write_messages,
)
from app.core.processes import ChildPool
from app.jobs.context import JobContext, Step

DOMAIN = "messages"
BATCH = 5_000  # rows of the source per step: 100 ms, so a cancel is heard and the lock is short

T = TypeVar("T")


class Progress(msgspec.Struct):
    """How far a run of this domain has got: the job's cursor, committed with the rows."""

    generation: int
    fingerprint: str
    rowid: int = 0  # of the last row read
    conversations: int = 0
    messages: int = 0
    attachments: int = 0
    lost: int = 0  # rows that damage hides
    done: bool = False  # the generation is live

    @property
    def counts(self) -> dict[str, int]:
        """What readers will see."""
        return {
            "conversations": self.conversations,
            "messages": self.messages,
            "message_attachments": self.attachments,
        }


class MessagesRun:
    """Reads the Messages database of one backup into its next generation."""

    def __init__(self, ctx: JobContext, backup_id: UUID, pool: ChildPool) -> None:
        self._ctx = ctx
        self._backup_id = backup_id
        self._pool = pool
        kept = (ctx.cursor or {}).get(DOMAIN)
        self.progress = None if kept is None else msgspec.convert(kept, Progress)

    async def run(self, found: dict[str, str], folder: str | None) -> list[dict[str, Any]]:
        """Index the database unless it is unchanged; its warnings as {"code", "detail"}.

        Raises:
            Refused: the database cannot be read.
            ChildDied: reading it was too much for the child.
        """
        async with self._ctx.resources.db.reading() as session:
            pointer = await generations.pointer(session, self._backup_id, DOMAIN)
        mine = self.progress
        if mine is not None and mine.done and mine.fingerprint == pointer.fingerprint:
            return pointer.warnings  # this very job has flipped it, and lost its worker since
        if pointer.live is not None and pointer.fingerprint == found["fingerprint"]:
            await self._skip(pointer)
            return pointer.warnings
        if mine is None or mine.done or not _goes_on(mine, pointer, found):
            self.progress = None
        return await self._read(found, folder)

    async def _skip(self, pointer: generations.Pointer) -> None:
        """What is live was read from this very database: nothing to do but to say so."""
        count = pointer.counts.get("messages", 0)
        async with self._ctx.step(total=count, stage=DOMAIN, restart=self._is_late) as step:
            await store.hold(step.session, self._backup_id)
            step.advance(count)
        self.progress = None

    async def _read(self, found: dict[str, str], folder: str | None) -> list[dict[str, Any]]:
        request = {"do": DOMAIN, "folder": folder, "batch": BATCH}
        request |= {"database": found["database"], "wal": found["wal"]}
        request["after_rowid"] = 0 if self.progress is None else self.progress.rowid
        warnings: list[dict[str, Any]] = []
        lost_before = 0  # the child counts losses of this run only
        async with aclosing(_ahead(self._pool.stream(request))) as frames:
            async for frame in frames:
                match decode(frame):
                    case Head(about):
                        await self._begin(about, found["fingerprint"])
                    case Batch(records, rowid, lost):
                        await self._add(records, rowid, lost - lost_before)
                        lost_before = lost
                    case End(summary):
                        warnings = self._warnings(summary.warnings, lost_before)
        return warnings

    async def _begin(self, about: About, fingerprint: str) -> None:
        """Take up the generation that an earlier attempt has begun, or begin one."""
        if self.progress is not None:
            return
        restart = self._is_late
        async with self._ctx.step(total=about.total, stage=DOMAIN, restart=restart) as step:
            await store.hold(step.session, self._backup_id)
            number = await generations.begin(step.session, self._backup_id, DOMAIN)
            rows = self._rows(number).conversations(about.conversations)
            await write_conversations(step.session, rows)
            self._keep(step, Progress(number, fingerprint, conversations=len(rows)))

    async def _add(self, records: list[MessageRecord], rowid: int, lost: int) -> None:
        before = self._begun
        with without_collector():
            messages, attachments = self._rows(before.generation).messages(records)
        async with self._ctx.step() as step:
            await store.hold(step.session, self._backup_id)
            await write_messages(step.session, messages, attachments)
            step.advance(len(messages), failed=lost)
            after = msgspec.structs.replace(
                before,
                rowid=rowid,
                messages=before.messages + len(messages),
                attachments=before.attachments + len(attachments),
                lost=before.lost + lost,
            )
            self._keep(step, after)

    async def flip(self, warnings: list[dict[str, Any]], *, changed: bool) -> None:
        """Make what was read the live generation, with its counts.

        Args:
            warnings: of this domain, kept with the generation.
            changed: the database changed while it was read, so the next run shall read it again.
        """
        progress = self._begun
        if progress.done:
            return
        total = self._ctx.processed + self._ctx.failed
        async with self._ctx.step(total=total) as step:
            await store.hold(step.session, self._backup_id)
            await generations.flip(
                step.session,
                self._backup_id,
                DOMAIN,
                progress.generation,
                fingerprint=None if changed else progress.fingerprint,
                counts=progress.counts,
                warnings=warnings,
            )
            self._keep(step, msgspec.structs.replace(progress, done=True))

    @property
    def _begun(self) -> Progress:
        assert self.progress is not None
        return self.progress

    @property
    def _is_late(self) -> bool:
        """Whether an earlier attempt has counted what does not count any more."""
        return self._ctx.cursor is not None

    def _keep(self, step: Step, progress: Progress) -> None:
        self.progress = progress
        step.advance(cursor={DOMAIN: msgspec.to_builtins(progress)})

    def _rows(self, generation: int) -> RowMaker:
        return RowMaker(self._backup_id, generation, sqlite=self._ctx.resources.db.is_sqlite)

    def _warnings(self, given: list[dict[str, Any]], lost_now: int) -> list[dict[str, Any]]:
        """The child's warnings; what an earlier attempt has lost is told with them."""
        progress = self._begun
        if progress.lost == lost_now:  # there was no earlier attempt, or it met no damage
            return given
        whole = progress.messages + progress.lost
        detail = f"The database is damaged: salvaged {progress.messages} of {whole} messages."
        rest = given[1:] if lost_now else given  # the first one counts this attempt's alone
        return [{"code": "corrupt", "detail": detail}, *rest]


def _goes_on(mine: Progress, pointer: generations.Pointer, found: dict[str, str]) -> bool:
    """Whether the generation that was begun has no holes: same source, and nobody came after."""
    return mine.generation == pointer.newest and mine.fingerprint == found["fingerprint"]


async def _ahead(frames: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same frames, with the next one on its way while the present one is used."""
    async with aclosing(frames):
        coming = asyncio.ensure_future(anext(frames, None))
        try:
            while (frame := await coming) is not None:
                coming = asyncio.ensure_future(anext(frames, None))
                yield frame
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
