"""Three ways by which work reaches a worker; all end in the same `Runner`.

This page is where a process chooses: how it rings, and which engine feeds its worker.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from app.core.db import Database
from app.core.hot import PostgresTrips
from app.jobs.engines import arq, database
from app.jobs.engines.arq import ArqBell, HeadwayRedis, open_redis
from app.jobs.engines.database import DatagramBell, NotifyBell
from app.jobs.queue import JobQueue, Ringer
from app.jobs.schedule import Schedule
from app.jobs.spec import Registry
from app.jobs.store.sweep import Waiting
from app.jobs.worker import Share, Worker
from app.resources import Resources

if TYPE_CHECKING:
    from app.settings import Settings


def redis_of(settings: "Settings", *, queue: str = "default") -> HeadwayRedis | None:
    """The Redis that `settings` name, or None. Connected at its first use."""
    if settings.redis_url is None:
        return None
    url = settings.redis_url.get_secret_value()
    return open_redis(url, max_connections=settings.redis_max_connections, queue=queue)


@asynccontextmanager
async def open_queue(
    resources: Resources, registry: Registry, redis: HeadwayRedis | None = None
) -> AsyncGenerator[JobQueue]:
    """Where this process asks for work.

    It rings through Redis where that is set, else the database's own bell. Workers of both
    engines hear either; what nobody hears, the poll finds.

    Args:
        resources: of this process.
        registry: the jobs that may be asked for.
        redis: an open pool to ring through; without one, one is opened if REDIS_URL is set.
    """
    async with AsyncExitStack() as stack:
        if redis is None:
            redis = redis_of(resources.settings)
            if redis is not None:
                stack.push_async_callback(redis.aclose, True)
        ringer = Ringer(ArqBell(redis)) if redis is not None else own_ringer(resources.db)
        stack.push_async_callback(ringer.close)
        yield JobQueue(registry, resources.settings.queue_routes, ringer)


@asynccontextmanager
async def open_worker(
    resources: Resources,
    registry: Registry,
    schedules: Sequence[Schedule],
    share: Share,
    redis: HeadwayRedis | None = None,
) -> AsyncGenerator[Worker]:
    """A worker on shift that hears every bell there is; when the block ends it hands work back."""
    async with AsyncExitStack() as stack:
        if redis is None:
            redis = redis_of(resources.settings)
            if redis is not None:
                stack.push_async_callback(redis.aclose, True)
        queue = await stack.enter_async_context(open_queue(resources, registry, redis))
        gone = _none_gone if redis is None else partial(arq.rings_gone, redis)
        worker = Worker(resources, queue, schedules, share, gone)
        if redis is None:
            listening = database.listen(resources.db, worker.news.set)
        else:
            listening = arq.listen(redis, share.queues, worker.news.set)
        stack.push_async_callback(_silence, asyncio.create_task(listening))
        yield await stack.enter_async_context(worker.on_shift())


def own_ringer(db: Database) -> Ringer:
    """Rings the bell of the database itself."""
    if isinstance(db.hot, PostgresTrips):
        return Ringer(NotifyBell(db.hot), by_commit=True)
    return Ringer(near=DatagramBell(db))


async def _none_gone(_waiting: Sequence[Waiting]) -> Sequence[Waiting]:
    """Without Redis no ring can be lost: the table itself is polled."""
    return ()


async def _silence(ear: asyncio.Task[None]) -> None:
    ear.cancel()
    await asyncio.gather(ear, return_exceptions=True)
