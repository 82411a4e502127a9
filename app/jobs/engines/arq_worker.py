"""What the plain `arq` command needs to run our worker, as the attributes of a settings class."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from arq.cron import cron

from app.core.failpoints import arm
from app.core.logging import configure_logging
from app.jobs.engines import open_worker
from app.jobs.engines.arq import (
    HeadwayRedis,
    arq_function,
    open_redis,
    queue_key,
    redis_settings,
)
from app.jobs.engines.banner import announce
from app.jobs.engines.feed import Feed
from app.jobs.schedule import Schedule
from app.jobs.spec import Registry
from app.jobs.worker import Share, Worker
from app.resources import open_resources

if TYPE_CHECKING:
    from app.settings import Settings

DEFAULT_REDIS = "redis://localhost:6379"
_FOREVER = 1_000_000  # tries: attempts are counted in the row, not by arq


def arq_settings(
    settings: "Settings", registry: Registry, schedules: Sequence[Schedule]
) -> dict[str, Any]:
    """The attributes of a `WorkerSettings` class for these jobs.

    arq looks at the class's own attributes only, so make the class of this very dictionary.
    Redis is connected at its first use, not here.
    """
    url = settings.redis_url.get_secret_value() if settings.redis_url else DEFAULT_REDIS
    connections = settings.redis_max_connections
    redis = open_redis(url, max_connections=connections, queue=settings.queue_name)
    redis.patient = True
    service = _Service(settings, registry, schedules, redis)
    return {
        "functions": [arq_function(job, _worker_of) for job in registry.values()],
        "cron_jobs": [
            cron(_knock, name=f"cron:{each.name}", minute=set(each.minutes)) for each in schedules
        ],
        "redis_settings": redis_settings(url),  # read by `arq --check` only
        "redis_pool": redis,
        "queue_name": queue_key(settings.queue_name),
        "max_jobs": settings.arq_max_jobs,
        "job_timeout": settings.arq_job_timeout,
        "keep_result": 0,  # results live in background_jobs
        "max_tries": _FOREVER,
        "poll_delay": 0.005,  # seconds; the real wait is in the pool, and arq subtracts it
        "health_check_interval": 30,
        "log_results": False,
        "job_serializer": redis.job_serializer,
        "job_deserializer": redis.job_deserializer,
        "on_startup": service.start,
        "on_shutdown": service.stop,
        "ctx": {"service": "headway"},  # arq replaces an empty one
    }


class _Service:
    """What arq's two hooks open and close."""

    def __init__(
        self,
        settings: "Settings",
        registry: Registry,
        schedules: Sequence[Schedule],
        redis: HeadwayRedis,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._schedules = schedules
        self._redis = redis
        self._stack = AsyncExitStack()

    async def start(self, ctx: dict[str, Any]) -> None:
        """Build what jobs need and begin to feed them; arq calls this before its first poll."""
        settings = self._settings
        configure_logging(level=settings.log_level, json_lines=settings.json_logs)
        arm(settings.failpoint)
        share = Share(engine="arq", queues=(settings.queue_name,), max_jobs=settings.arq_max_jobs)
        resources = await self._stack.enter_async_context(open_resources(settings))
        announce(settings, share, self._registry, resources.db.safe_url)
        worker = await self._stack.enter_async_context(
            open_worker(resources, self._registry, self._schedules, share, self._redis)
        )
        ctx["worker"] = worker
        feed = Feed(self._redis, settings.queue_name, worker, poll=settings.worker_poll_interval)
        self._redis.running = lambda: len(worker.runner.attempts)
        self._redis.feed = feed.turn
        self._stack.push_async_callback(feed.close)

    async def stop(self, _ctx: dict[str, Any]) -> None:
        """Stop taking work, hand back what runs, give everything back."""
        self._redis.feed = None
        await self._stack.aclose()


def _worker_of(ctx: dict[str, Any]) -> Worker:
    found: Worker = ctx["worker"]
    return found


async def _knock(ctx: dict[str, Any]) -> None:
    """Ask for every slot that is due and has no row yet."""
    await _worker_of(ctx).knock()
