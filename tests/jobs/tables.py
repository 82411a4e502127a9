"""The real tables, within reach of a state machine that knows no event loop."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Column, Integer, MetaData, Row, String, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utcnow
from app.jobs.context import JobContext
from app.jobs.engines.inline import run_all
from app.jobs.identity import own_identity
from app.jobs.ledger import Ledger
from app.jobs.models import BackgroundJob, JobEvent
from app.jobs.queue import JobQueue, Ring, Ringer
from app.jobs.rescue import Rescue
from app.jobs.spec import Change, Job, JobArgs, Registry
from app.jobs.states import JobStatus
from app.jobs.store import steps, sweep
from app.jobs.store.insert import Stored
from app.jobs.worker import Share, Worker
from app.resources import Resources, open_resources
from app.settings import Settings
from tests.harness import no_rings_gone

T = TypeVar("T")

LEASE = 900.0  # seconds: no lease ends by itself while an example runs
QUEUES = ("default", "slow")


class Plain(JobArgs, kind="plain"):
    """Work, perhaps in a lane, perhaps one of its kind."""

    lane_name: str | None = None
    key: str | None = None

    def lane(self) -> str | None:
        return self.lane_name

    def unique_key(self) -> str | None:
        return self.key


class Urgent(Plain, kind="urgent", priority=5):
    """Goes first."""


class Once(Plain, kind="once"):
    """Has one attempt only, in a queue of its own."""


class Hooked(Plain, kind="hooked"):
    """Has a hook, so it is claimed and completed in a session."""


async def work(ctx: JobContext, _args: Plain) -> dict[str, Any]:
    """Do the next item; a second run does the one after."""
    await do_item(ctx)
    return {"items": ctx.processed}


async def do_item(ctx: JobContext) -> None:
    """One step with an effect."""
    item = (ctx.cursor or 0) + 1
    async with ctx.step(total=50) as step:
        await step.session.execute(insert(EFFECTS).values(job_id=str(ctx.job_id), item=item))
        step.advance(1, cursor=item)


told: dict[UUID, JobStatus] = {}  # what the hook was told last


async def remember(_session: AsyncSession, change: Change) -> None:
    told[change.job_id] = change.status


# No key is unique in it, so that an item that was done twice is seen twice.
EFFECTS = Table("effects", MetaData(), Column("job_id", String(36)), Column("item", Integer))
REGISTRY = Registry(
    [
        Job(Plain, work, "plain", None, 3),
        Job(Urgent, work, "urgent", None, 3),
        Job(Once, work, "once", None, 1),
        Job(Hooked, work, "hooked", None, 3, remember),
    ]
)


class Rings(Ringer):
    """A Redis that can be emptied: which rings it holds, and which it has ever been given."""

    def __init__(self) -> None:
        super().__init__()
        self.held: set[tuple[UUID, int]] = set()
        self.given: list[tuple[UUID, int]] = []

    def ring(self, ring: Ring) -> None:
        self.held.add((ring.job_id, ring.number))
        self.given.append((ring.job_id, ring.number))

    async def gone(self, waiting: Sequence[sweep.Waiting]) -> list[sweep.Waiting]:
        return [each for each in waiting if (each.id, each.ring) not in self.held]


@dataclass(frozen=True)
class Sight:
    """Everything that is in the tables at one moment."""

    rows: dict[UUID, Row[Any]]
    lines: list[Row[Any]]
    effects: list[tuple[str, int]]


class Tables:
    """The job core on one database. What is `async` there is done to its end by `do` here."""

    def __init__(self, runner: asyncio.Runner, resources: Resources) -> None:
        self.resources, self.db = resources, resources.db
        self._runner = runner
        self.clear()

    def do(self, act: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(act)

    def clear(self) -> None:
        """Begin with empty tables, and a Redis that has heard of nothing."""
        self.rings = Rings()
        self.queue = JobQueue(REGISTRY, {"once": "slow"}, self.rings)
        self.ledger = Ledger(self.db, self.queue, "somebody")
        told.clear()

        async def empty(session: AsyncSession) -> None:
            for table in (BackgroundJob, JobEvent, EFFECTS):
                await session.execute(delete(table))

        self.do(self.db.run(empty))

    def ask(self, args: JobArgs, delay: float) -> Stored:
        due = utcnow() + timedelta(seconds=delay) if delay else None
        return self.do(self.db.run(lambda s: self.queue.enqueue(s, args, run_after=due)))

    def look(self) -> Sight:
        async def read() -> Sight:
            async with self.db.reading() as session:
                rows = (await session.execute(select(BackgroundJob.__table__))).all()
                lines = await session.execute(select(JobEvent.__table__).order_by(JobEvent.seq))
                effects = await session.execute(select(EFFECTS).order_by(*EFFECTS.c))
                done = [(row.job_id, row.item) for row in effects]
                return Sight({row.id: row for row in rows}, list(lines.all()), done)

        return self.do(read())

    def lapsed(self) -> list[sweep.Lost]:
        async def read() -> list[sweep.Lost]:
            async with self.db.reading() as session:
                return await sweep.lapsed_jobs(session)

        return self.do(read())

    def age(self, seconds: float) -> None:
        """Let time pass: every row has been due, and was rung for, so much longer."""
        later = timedelta(seconds=seconds)

        async def shift(session: AsyncSession) -> None:
            for row in (await session.execute(select(BackgroundJob))).scalars():
                row.run_after -= later
                row.rung_at = row.rung_at and row.rung_at - later

        self.do(self.db.run(shift))

    def expire(self, *job_ids: UUID) -> None:
        """Let the leases of some jobs end a second ago."""

        async def end(session: AsyncSession) -> None:
            past = steps.lease(session, -1.0)
            running = BackgroundJob.id.in_(job_ids), BackgroundJob.lease_token.is_not(None)
            await session.execute(update(BackgroundJob).where(*running).values(**past))

        self.do(self.db.run(end))

    def ring_again(self) -> int:
        rescue = Rescue(self.resources, self.queue, self.ledger, own_identity(), max_jobs=1000)
        return self.do(rescue.ring_again(QUEUES, self.rings.gone))

    def run_workers(self) -> None:
        """Let a real worker take what is due, until there is nothing left."""
        share = Share(engine="inline", queues=QUEUES)

        async def run() -> None:
            await run_all(Worker(self.resources, self.queue, (), share, no_rings_gone))

        self.do(run())


@contextmanager
def open_tables(settings: Settings) -> Iterator[Tables]:
    """The tables of one database, with a loop of their own while the block lasts."""
    # A factory keeps the runner from setting the thread's loop, which belongs to pytest-asyncio.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = AsyncExitStack()
        resources = runner.run(stack.enter_async_context(open_resources(settings)))
        try:
            runner.run(_add_effects(resources))
            yield Tables(runner, resources)
        finally:
            runner.run(stack.aclose())


async def _add_effects(resources: Resources) -> None:
    async with resources.db.engine.begin() as connection:
        await connection.run_sync(EFFECTS.metadata.create_all)
