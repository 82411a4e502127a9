"""The ARQ engine: Redis carries rings, nothing else.

The plain `arq` command runs; what is ours is the `redis_pool` that `WorkerSettings` carries.
arq's poll asks it for due entries (`zrangebyscore`). The pool takes our rings off the sorted
set, many at once and atomically, and for as many rings claims as many rows, in the order of the
table; arq is handed only what somebody else put there. So none of arq's silent endings (expired,
too many tries, unknown function, aborted) can touch a job, and its four round trips per job are
not paid.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec
from arq.connections import ArqRedis, RedisSettings
from arq.jobs import serialize_job
from arq.worker import Function, func
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.core.clock import utcnow
from app.core.errors import Unavailable
from app.jobs.queue import Ring
from app.jobs.spec import Job
from app.jobs.store.sweep import Waiting
from app.jobs.worker import Worker

log = logging.getLogger("worker")

PRIORITY_MS = 3_600_000  # one step of priority is worth an hour of waiting in the set's score
_KEPT_MS = 7 * 24 * 3_600_000  # how long a ring's payload is kept after it is due
# RuntimeError: uvloop's word for a connection that was reset before redis-py wrote to it.
REDIS_GONE = (RedisError, OSError, TimeoutError, RuntimeError)
_PATIENCE = 1.0  # seconds for what arq does beside the work: a hung Redis must not hold its loop


def queue_key(queue: str) -> str:
    """The sorted set of `queue`."""
    return f"arq:queue:{queue}"


def wake_channel(queue: str) -> str:
    """Where a ring for `queue` is announced."""
    return f"headway:wake:{queue}"


async def _answer(asked: Awaitable[Any], otherwise: Any) -> Any:
    """What Redis answers, or `otherwise` when it is away or hangs."""
    with suppress(*REDIS_GONE):
        return await asyncio.wait_for(asked, _PATIENCE)
    return otherwise


class HeadwayRedis(ArqRedis):
    """arq's Redis, which takes rings for a worker once `feed` is set, and outlives an outage."""

    feed: Callable[[], Awaitable[list[bytes]]] | None = None
    running: Callable[[], int] = staticmethod(lambda: 0)
    patient = False  # set on arq's own pool

    async def zrangebyscore(self, name: Any, *args: Any, **kwargs: Any) -> Any:
        """What arq shall run itself: entries that are not ours. Ours are taken and started."""
        if self.feed is None or kwargs.get("num") is None:
            return await super().zrangebyscore(name, *args, **kwargs)
        return await self.feed()

    def pipeline(self, *args: Any, **kwargs: Any) -> Any:
        """A pipeline; before the worker is fed, one that says nothing while Redis is away.

        arq asks for the server's version before it starts, and would end with the answer.
        """
        pipe = super().pipeline(*args, **kwargs)
        if self.feed is None and self.patient:
            ask = pipe.execute

            async def ask_patiently(*given: Any, **named: Any) -> Any:
                return await _answer(ask(*given, **named), [{}, {}, {}, 0])

            pipe.execute = ask_patiently  # type: ignore[method-assign]
        return pipe

    async def zcard(self, name: Any) -> Any:
        """How many entries wait, and how many jobs run here: a burst is over at zero.

        While Redis is away the table is worked off, so what runs is what there is.
        """
        return int(await _answer(super().zcard(name), 0)) + self.running()

    async def psetex(self, *args: Any, **kwargs: Any) -> Any:
        """Arq's health record; while Redis is away there is none, and the worker goes on."""
        return await _answer(super().psetex(*args, **kwargs), None)

    async def delete(self, *names: Any) -> Any:
        """Delete keys; while Redis is away they are gone anyhow."""
        return await _answer(super().delete(*names), 0)

    async def enqueue_job(self, *args: Any, **kwargs: Any) -> Any:
        """Arq's cron; while Redis is away the worker's own clockwork knocks."""
        return await _answer(super().enqueue_job(*args, **kwargs), None)


def open_redis(url: str, *, max_connections: int, queue: str = "default") -> HeadwayRedis:
    """Redis at `url`, connected at first use. Hung servers are noticed after five seconds."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=5,
        socket_timeout=5,
        socket_connect_timeout=2,
        socket_keepalive=True,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
        # The built-in OSError too: redis-py 5 turns a refused connection into its own error
        # only after the retry, and a worker would end with every restart of Redis.
        retry_on_error=[RedisConnectionError, RedisTimeoutError, OSError],
    )
    return HeadwayRedis(
        pool_or_conn=pool,
        job_serializer=msgspec.msgpack.encode,
        job_deserializer=msgspec.msgpack.decode,
        default_queue_name=queue_key(queue),
    )


def redis_settings(url: str) -> RedisSettings:
    """The same address in arq's own form, for `arq --check`; percent-signs decoded."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return RedisSettings(unix_socket_path=parts.path)
    path = parts.path.strip("/")
    return RedisSettings(
        host=parts.hostname or "localhost",
        port=parts.port or 6379,
        database=int(path) if path.isdigit() else 0,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        ssl=parts.scheme == "rediss",
        ssl_check_hostname=parts.scheme == "rediss",
        conn_timeout=2,
    )


class ArqBell:
    """Rings through Redis: an entry in the queue's sorted set, and a word on its channel."""

    def __init__(self, redis: ArqRedis) -> None:
        """Use an open pool; closing it is the owner's business."""
        self._redis = redis

    async def ring(self, rings: Sequence[Ring]) -> None:
        """Put the rings into their sets, in one round trip. Raises `Unavailable`."""
        now_ms = int(utcnow().timestamp() * 1000)
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for ring in rings:
                    entry = entry_of(ring.job_id, ring.number)
                    due_ms = int(ring.run_after.timestamp() * 1000)
                    score = due_ms - ring.priority * PRIORITY_MS if due_ms <= now_ms else due_ms
                    payload = serialize_job(
                        ring.function, (str(ring.job_id),), {}, None, now_ms,
                        serializer=msgspec.msgpack.encode,
                    )  # fmt: skip
                    pipe.psetex(f"arq:job:{entry}", max(0, due_ms - now_ms) + _KEPT_MS, payload)
                    pipe.zadd(queue_key(ring.queue), {entry: score})
                for queue in sorted({ring.queue for ring in rings}):
                    pipe.publish(wake_channel(queue), "ring")
                await pipe.execute()
        except REDIS_GONE as error:
            raise Unavailable("redis did not answer") from error


def entry_of(job_id: UUID, number: int) -> str:
    """The arq id of a ring. No id is used twice: arq would swallow the second one in silence."""
    return f"{job_id}:{number}"


async def rings_gone(redis: ArqRedis, waiting: Sequence[Waiting]) -> list[Waiting]:
    """Those of `waiting` whose last ring is not in Redis any more; none while Redis is away."""
    try:
        async with redis.pipeline(transaction=False) as pipe:
            for each in waiting:
                pipe.exists(f"arq:job:{entry_of(each.id, each.ring)}")
            found = await pipe.execute()
    except REDIS_GONE:
        return []
    return [each for each, there in zip(waiting, found, strict=True) if not there]


async def listen(redis: ArqRedis, queues: Sequence[str], heard: Callable[[], None]) -> None:
    """Call `heard` for every ring announced for `queues` (none: all), until cancelled."""
    while True:
        pubsub = redis.pubsub()
        try:
            if queues:
                await pubsub.subscribe(*(wake_channel(queue) for queue in queues))
            else:
                await pubsub.psubscribe(wake_channel("*"))
            heard()  # what was rung while nobody listened
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5.0)
                if message is not None:
                    heard()
        except REDIS_GONE:
            await asyncio.sleep(1.0)
        finally:
            with suppress(*REDIS_GONE):
                await pubsub.aclose()  # type: ignore[no-untyped-call]


def arq_function(job: Job[Any], worker_of: Callable[[dict[str, Any]], Worker]) -> Function:
    """`job` as the ARQ function of its name, for entries that somebody else put into the set.

    It takes a job id and claims that row. Attempts and timeouts are the row's, so arq is told
    never to keep a result, to try as often as it likes and to time out late.
    """

    async def run(ctx: dict[str, Any], job_id: str) -> None:
        """Claim and run the job `job_id`, if it is still waiting."""
        worker = worker_of(ctx)
        await worker.claim_rung([UUID(job_id)])

    return func(
        run,
        name=job.function,
        timeout=60,
        keep_result=0,
        max_tries=1_000_000,
    )
