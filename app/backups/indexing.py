"""All domains of a backup, one after the other: what is unchanged is skipped, and each fails alone.

Contacts go first. Rows of the others hold names out of them, so their fingerprint has two parts:
what the database was, and who everybody was called.
"""

import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.backups import generations, people, store
from app.backups.domain_run import DomainRun, Found, Progress
from app.backups.domains import DOMAINS, Domain
from app.backups.generations import Pointer
from app.backups.people import Directory
from app.core.columns import now
from app.core.errors import Unavailable
from app.core.passing import is_bad_data
from app.core.processes import ChildDied, ChildPool, Refused
from app.jobs.context import JobContext

log = logging.getLogger("worker")

_OWN = 40  # characters of a fingerprint that tell of the database; the rest tells of the names

Warnings = list[dict[str, Any]]


class BackupRun:
    """One attempt to index a backup that was looked at.

    Attributes:
        outcomes: how each domain went, in a word: indexed, unchanged, or the code of a problem.
        warnings: of all domains, as {"code", "artifact", "detail"}.
    """

    def __init__(
        self, ctx: JobContext, backup_id: UUID, pool: ChildPool, looked: Mapping[str, Any]
    ) -> None:
        self.outcomes: dict[str, str] = {}
        self.warnings: Warnings = list(looked["warnings"])
        self._ctx = ctx
        self._backup_id = backup_id
        self._pool = pool
        self._directory = Directory()
        self._runs: list[DomainRun] = []
        for domain in DOMAINS:
            found = looked["found"].get(domain.name)
            if found is None:
                continue
            if "code" in found:
                self._problem(domain, found["code"], found["detail"])
            else:
                run = DomainRun(ctx, backup_id, domain, msgspec.convert(found, Found))
                self._runs.append(run)

    async def run(self) -> dict[str, int]:
        """Index what has changed and remove what is dead; the counts that readers see now."""
        await self._plan()
        for run in list(self._runs):
            await self._index(run)
        return await self._finish()

    async def _plan(self) -> None:
        """Find out how much there is to do, and what an earlier attempt has done of it."""
        pointers = await self._pointers()
        for run in list(self._runs):
            pointer, own = pointers[run.domain.name], run.found.fingerprint[:_OWN]
            if not _may_go_on(run.progress, pointer, own):
                run.progress = None
            try:
                run.total = await self._total(run, pointer, own)
            except (ChildDied, Refused) as error:
                self._failed(run, error)
                self._runs.remove(run)
        kept = {run.domain.name: run.progress for run in self._runs if run.progress is not None}
        await self._keep(kept, sum(run.total for run in self._runs))

    async def _total(self, run: DomainRun, pointer: Pointer, own: str) -> int:
        if run.progress is not None and run.progress.done:
            return run.progress.processed + run.progress.lost
        if run.progress is None and _is_live(pointer, own):
            return pointer.counts.get(run.domain.items, 0)
        asked = {"do": "begin", "name": run.domain.name, "request": run.request()}
        return int(await ask(self._pool, asked))

    async def _keep(self, kept: Mapping[str, Progress], total: int) -> None:
        """Go on with this much; what counts no more is taken out of the counters."""
        cursor = {name: msgspec.to_builtins(progress) for name, progress in kept.items()}
        late = set(self._ctx.cursor or {}) - set(cursor)
        async with self._ctx.step(total=total, stage="opening", restart=bool(late)) as step:
            if late:
                processed = sum(one.processed for one in kept.values())
                step.advance(processed, failed=sum(one.lost for one in kept.values()))
            step.advance(cursor=cursor)

    async def _index(self, run: DomainRun) -> None:
        """Index one domain. Its failure is its own."""
        name = run.domain.name
        fingerprint = run.found.fingerprint[:_OWN]
        if run.domain.names_people:
            fingerprint += f"-{self._directory.digest}"
        pointer = (await self._pointers())[name]
        try:
            warnings = await self._index_unless_done(run, pointer, fingerprint)
        except (ChildDied, Refused) as error:
            self._failed(run, error)
            await self._settle(run)
        except Exception as error:
            if not is_bad_data(error):
                raise
            log.warning("not stored", extra={"domain": name, "error": repr(error)[:300]})
            self._problem(run.domain, "damaged", "It holds what cannot be stored.")
            await self._settle(run)
        else:
            self.warnings += [{"artifact": name, **one} for one in warnings]
        if name == people.DOMAIN:
            async with self._ctx.resources.db.reading() as session:
                self._directory = await people.directory_of(session, self._backup_id)

    async def _index_unless_done(
        self, run: DomainRun, pointer: Pointer, fingerprint: str
    ) -> Warnings:
        name, progress = run.domain.name, run.progress
        if progress is not None and progress.fingerprint != fingerprint:
            await self._drop(run)
        elif progress is not None and progress.done:
            self.outcomes[name] = "indexed" if progress.read else "unchanged"
            return pointer.warnings
        if run.progress is None and pointer.live and pointer.fingerprint == fingerprint:
            self.outcomes[name] = "unchanged"
            await self._skip(run, pointer, fingerprint)
            return pointer.warnings
        warnings = await run.read(self._pool, self._directory, fingerprint)
        assert run.progress is not None
        if not run.progress.processed and any(one["code"] == "damaged" for one in warnings):
            self.outcomes[name] = "damaged"  # what an older run has read is worth more than nothing
            await self._settle(run)
            return warnings
        await run.feed()
        asked = {"do": "fingerprint", "paths": run.found.seen}
        changed = await ask(self._pool, asked) != run.found.fingerprint
        if changed:
            detail = "The backup changed while it was read; index it again for a whole picture."
            warnings = [*warnings, {"code": "changed_while_read", "detail": detail}]
        await run.flip(warnings, changed=changed)
        self.outcomes[name] = "indexed"
        return warnings

    async def _skip(self, run: DomainRun, pointer: Pointer, fingerprint: str) -> None:
        """What is live was made of this very database: nothing to do but to say so."""
        count = pointer.counts.get(run.domain.items, 0)
        async with self._ctx.step(stage=run.domain.name) as step:
            await store.hold(step.session, self._backup_id)
            step.advance(count)
            live = pointer.live or 0
            run.keep(step, Progress(live, fingerprint, processed=count, done=True))

    async def _drop(self, run: DomainRun) -> None:
        """An earlier attempt took names from other contacts: begin this domain anew."""
        run.progress = None
        kept = {one.domain.name: one.progress for one in self._runs if one.progress is not None}
        await self._keep(kept, self._ctx.total or 0)

    async def _settle(self, run: DomainRun) -> None:
        async with self._ctx.step(total=run.settled()):
            pass

    def _failed(self, run: DomainRun, error: ChildDied | Refused) -> None:
        if isinstance(error, ChildDied):
            error = unless_of_the_input(error)
        self._problem(run.domain, error.code, str(error))

    def _problem(self, domain: Domain, code: str, detail: str) -> None:
        self.outcomes[domain.name] = code
        self.warnings.append({"code": code, "artifact": domain.name, "detail": detail})

    async def _pointers(self) -> dict[str, Pointer]:
        async with self._ctx.resources.db.reading() as session:
            return await generations.pointers(session, self._backup_id, [d.name for d in DOMAINS])

    async def _finish(self) -> dict[str, int]:
        """Remove what is dead, a batch per step, and close the books."""
        counts: dict[str, int] = {}
        for domain in DOMAINS:
            while True:
                async with self._ctx.step(stage="removing old rows") as step:
                    deleted, pointer = await self._remove_dead(step.session, domain)
                if not deleted:
                    break
            counts |= pointer.counts
        async with self._ctx.step() as step:
            facts = {"warnings": self.warnings, "indexed_at": now()}
            await store.describe(step.session, self._backup_id, facts)
        return counts

    async def _remove_dead(self, session: AsyncSession, domain: Domain) -> tuple[int, Pointer]:
        await store.hold(session, self._backup_id)
        pointer = (await generations.pointers(session, self._backup_id, [domain.name]))[domain.name]
        deleted = await generations.remove_dead(
            session, self._backup_id, domain.name, pointer.live, domain.counts
        )
        if deleted and pointer.newest != pointer.live:
            # What a stopped run has begun is going: nobody must take it up again.
            await generations.begin(session, self._backup_id, domain.name)
        return deleted, pointer


async def ask(pool: ChildPool, request: Mapping[str, Any]) -> Any:
    """The one frame that answers a request."""
    frames = [frame async for frame in pool.stream(request)]
    return frames[0]


def unless_of_the_input(error: ChildDied) -> ChildDied:
    """The error, if it tells something about the backup.

    Raises:
        Unavailable: it tells something about this machine, and the same may succeed later.
    """
    if error.cause == "start":
        raise Unavailable("The process that reads backups could not be started.") from error
    return error


def _may_go_on(progress: Progress | None, pointer: Pointer, own: str) -> bool:
    """Whether what an earlier attempt has done of this domain still counts.

    What it has flipped must be live; what it has begun must have no holes: it is of the same
    source, and nobody came after.
    """
    if progress is None or progress.fingerprint[:_OWN] != own:
        return False
    if progress.done:
        return pointer.fingerprint == progress.fingerprint
    return progress.generation == pointer.newest


def _is_live(pointer: Pointer, own: str) -> bool:
    return pointer.live is not None and (pointer.fingerprint or "")[:_OWN] == own
