"""One domain of a backup, from the child's frames into a new generation.

    child:  read, decode ─▶ pipe ─▶ parent:  rows ─▶ one step: COPY + counters + cursor
                                            ─▶ search index, out of these rows ─▶ flip

While one batch is written, the rows of the next are made and the child reads the one after that.
The cursor of the job says for each domain which generation is being written, from which file, and
up to which row, so a retry goes on there.
"""

from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import text

from app.backups import generations, store
from app.backups.domains import Domain
from app.backups.feeding import feed
from app.backups.people import Directory
from app.backups.rows.frames import MOST_RECORDS, NO_FRAME, End, Head, Records, without_collector
from app.backups.rows.making import Maker, Written
from app.backups.rows.writing import write
from app.core.ahead import Ahead
from app.core.processes import ChildPool, Refused
from app.jobs.context import JobContext, Step

# Rows of the source per step: 100 ms, so a cancel is heard and the lock is short.
BATCH = MOST_RECORDS

_MANY = 100  # rows that are worth looking at before the next query over them


class Progress(msgspec.Struct):
    """How far a run of one domain has got: its part of the cursor, committed with the rows."""

    generation: int
    fingerprint: str
    rowid: int = 0  # of the last row read
    counts: dict[str, int] = {}  # what readers will see
    processed: int = 0  # what this domain has added to the job's counters
    lost: int = 0  # rows that damage hides
    read: bool = False  # to the end
    fed: int = 0  # number of the last item in the search index
    done: bool = False  # the generation is live
    warnings: list[dict[str, Any]] = []


class Found(msgspec.Struct):
    """A database that the child has found."""

    fingerprint: str
    seen: list[str]
    request: dict[str, Any]


class Batch(NamedTuple):
    """What is written in one step."""

    written: Written
    rowid: int  # of the last row read for it
    lost: int  # rows that damage hides, since the last batch


class DomainRun:
    """Reads one database of a backup into the next generation of its domain."""

    def __init__(self, ctx: JobContext, backup_id: UUID, domain: Domain, found: Found) -> None:
        self.domain = domain
        self.found = found
        self._ctx = ctx
        self._backup_id = backup_id
        kept = (ctx.cursor or {}).get(domain.name)
        self.progress = None if kept is None else msgspec.convert(kept, Progress)
        self.total = 0  # what it is thought to add to the job's counters, in all

    def request(self) -> dict[str, Any]:
        """What the child is asked to read."""
        after = 0 if self.progress is None else self.progress.rowid
        return self.found.request | {"batch": BATCH, "after_rowid": after}

    async def read(
        self, pool: ChildPool, directory: Directory, fingerprint: str
    ) -> list[dict[str, Any]]:
        """Read the database to its end, from where an earlier attempt has got to; its warnings.

        Raises:
            Refused: the database cannot be read.
            ChildDied: reading it was too much for the child.
        """
        if self.progress is not None and self.progress.read:
            return self.progress.warnings
        asked = {"do": "read", "name": self.domain.name, "request": self.request()}
        async with Ahead(pool.stream(asked)) as frames:
            maker = await self._begin(await frames.next(), directory, fingerprint)
            async with Ahead(self._batches(maker, frames)) as batches:
                while batch := await batches.next():
                    match batch:
                        case Batch():
                            await self._add(batch, meanwhile=batches.begin)
                        case End(summary):
                            await self._end(summary.warnings)
        return self._begun.warnings

    async def _begin(self, frame: bytes | None, directory: Directory, fingerprint: str) -> Maker:
        """Take up the generation that an earlier attempt has begun, or begin one."""
        match self.domain.frames.decode(frame or b""):
            case Head(about):
                pass
            case _:
                raise Refused(NO_FRAME)
        if self.progress is not None:
            maker = self._new_maker(self.progress.generation, directory)
            maker.head(about)  # which tells it who is who
            return maker
        async with self._ctx.step(stage=self.domain.name) as step:
            await store.hold(step.session, self._backup_id)
            number = await generations.begin(step.session, self._backup_id, self.domain.name)
            maker = self._new_maker(number, directory)
            written = maker.head(about)
            await write(step.session, written)
            counts = dict.fromkeys(self.domain.counts.values(), 0)
            begun = Progress(number, fingerprint, counts=_counted(self.domain, counts, written))
            self.keep(step, begun)
        return maker

    def _new_maker(self, generation: int, directory: Directory) -> Maker:
        sqlite = self._ctx.resources.db.is_sqlite
        return self.domain.maker(self._backup_id, generation, directory, sqlite=sqlite)

    async def _batches(
        self, maker: Maker, frames: Ahead[bytes]
    ) -> AsyncGenerator[Batch | End, None]:
        """The rows of each frame, and at last the end."""
        lost_before = 0  # the child counts losses of this run only
        while (frame := await frames.next()) is not None:
            frames.begin()
            match self.domain.frames.decode(frame):
                case Records(raw, rowid, lost):
                    with without_collector():
                        written = maker.items(self.domain.frames.records(raw))
                    yield Batch(written, rowid, lost - lost_before)
                    lost_before = lost
                case End() as end:
                    if await frames.next() is None:
                        yield end
                        return
                    break
                case Head():
                    break
        raise Refused(NO_FRAME)  # in another order, or without an end

    async def _add(self, batch: Batch, *, meanwhile: Callable[[], None]) -> None:
        """One step; `meanwhile` is called when the database has the rows and works on them."""
        before, (written, rowid, lost) = self._begun, batch
        count = sum(len(rows) for table, rows in written if table is self.domain.feed.table)
        async with self._ctx.step(stage=self.domain.name) as step:
            await store.hold(step.session, self._backup_id)
            await write(step.session, written, meanwhile)
            step.advance(count, failed=lost)
            after = msgspec.structs.replace(
                before,
                rowid=rowid,
                counts=_counted(self.domain, before.counts, written),
                processed=before.processed + count,
                lost=before.lost + lost,
            )
            self.keep(step, after)

    async def _end(self, given: list[dict[str, Any]]) -> None:
        begun = self._begun
        warnings = _warnings(begun, given)
        async with self._ctx.step(stage=f"{self.domain.name}: search") as step:
            self.keep(step, msgspec.structs.replace(begun, read=True, warnings=warnings))

    async def _analyze(self) -> None:
        """Tell PostgreSQL what it has been given: it would plan for a table of one row."""
        async with self._ctx.step(stage=f"{self.domain.name}: search") as step:
            for model, name in self.domain.counts.items():
                if self._begun.counts[name] > _MANY:
                    await step.session.execute(text(f"ANALYZE {model.__tablename__}"))

    async def feed(self) -> None:
        """Fill the search index from what was read, a batch per step."""
        if not self._ctx.resources.db.is_sqlite:
            await self._analyze()
        last: int | None = 0
        while last is not None:
            before = self._begun
            async with self._ctx.step(stage=f"{self.domain.name}: search") as step:
                await store.hold(step.session, self._backup_id)
                last = await feed(
                    step.session,
                    self.domain.feed,
                    self.domain.name,
                    self._backup_id,
                    before.generation,
                    before.fed,
                )
                if last is not None:
                    self.keep(step, msgspec.structs.replace(before, fed=last))

    async def flip(self, warnings: list[dict[str, Any]], *, changed: bool) -> None:
        """Make what was read the live generation, with its counts.

        Args:
            warnings: of this domain, kept with the generation.
            changed: the database changed while it was read, so the next run shall read it again.
        """
        begun = self._begun
        async with self._ctx.step(total=self.settled()) as step:
            await store.hold(step.session, self._backup_id)
            await generations.flip(
                step.session,
                self._backup_id,
                self.domain.name,
                begun.generation,
                fingerprint=None if changed else begun.fingerprint,
                counts=begun.counts,
                warnings=warnings,
            )
            self.keep(step, msgspec.structs.replace(begun, done=True))

    def settled(self) -> int:
        """The job's total, now that it is known what this domain adds to it."""
        really = 0 if self.progress is None else self.progress.processed + self.progress.lost
        total = (self._ctx.total or 0) - self.total + really
        self.total = really
        return total

    def keep(self, step: Step, progress: Progress) -> None:
        """Put the progress into the job's cursor, beside that of the other domains."""
        self.progress = progress
        cursor = {**(self._ctx.cursor or {}), self.domain.name: msgspec.to_builtins(progress)}
        step.advance(cursor=cursor)

    @property
    def _begun(self) -> Progress:
        assert self.progress is not None
        return self.progress


def _counted(domain: Domain, counts: dict[str, int], written: Written) -> dict[str, int]:
    more = {domain.counts[model]: len(rows) for model, rows in written}
    return {name: count + more.get(name, 0) for name, count in counts.items()}


def _warnings(progress: Progress, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The child's warnings; it knows of its own run only, and there may have been an earlier one."""
    if not progress.lost:
        return given
    whole = progress.processed + progress.lost
    detail = f"The database is damaged: salvaged {progress.processed} of {whole} records."
    rest = [one for one in given if "salvaged" not in one["detail"]]
    return [{"code": "damaged", "detail": detail}, *rest]
