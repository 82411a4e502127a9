"""The ARQ door: `arq app.worker.tasks.WorkerSettings`. Nothing imports this module."""

from contextlib import AsyncExitStack
from typing import Any, ClassVar

from arq.connections import RedisSettings
from arq.cron import CronJob, cron
from arq.worker import Function

from app.catalogue import SCHEDULES, registry
from app.core.failpoints import arm
from app.core.logging import configure_logging
from app.jobs.engines import open_worker
from app.jobs.engines.arq import (
    Feed,
    HeadwayRedis,
    arq_function,
    open_redis,
    queue_key,
    redis_settings,
)
from app.jobs.worker import Share, Worker
from app.resources import open_resources
from app.settings import load_settings
from app.worker.banner import announce

settings = load_settings()
_url = settings.redis_url.get_secret_value() if settings.redis_url else "redis://localhost:6379"
_redis: HeadwayRedis = open_redis(
    _url, max_connections=settings.redis_max_connections, queue=settings.queue_name
)
_jobs = registry()


async def startup(ctx: dict[str, Any]) -> None:
    """Build what jobs need and begin to feed them; arq calls this once, before its first poll."""
    configure_logging(level=settings.log_level, json_lines=settings.json_logs)
    arm(settings.failpoint)
    share = Share(engine="arq", queues=(settings.queue_name,), max_jobs=settings.arq_max_jobs)
    ctx["stack"] = stack = AsyncExitStack()
    resources = await stack.enter_async_context(open_resources(settings))
    announce(settings, share, _jobs, resources.db.safe_url)
    worker = await stack.enter_async_context(
        open_worker(resources, _jobs, SCHEDULES, share, _redis)
    )
    ctx["worker"] = worker
    feed = Feed(_redis, settings.queue_name, worker, poll=settings.worker_poll_interval)
    _redis.running = lambda: len(worker.runner.attempts)
    _redis.feed = feed.turn


async def shutdown(ctx: dict[str, Any]) -> None:
    """Stop taking work, hand back what runs, give everything back."""
    _redis.feed = None
    if "stack" in ctx:
        await ctx["stack"].aclose()


def worker_of(ctx: dict[str, Any]) -> Worker:
    """The worker of this process."""
    found: Worker = ctx["worker"]
    return found


async def knock(ctx: dict[str, Any]) -> None:
    """Ask for every slot that is due and has no row yet."""
    await worker_of(ctx).knock()


class WorkerSettings:
    """Read by the arq command line, which looks at this class's own attributes only."""

    functions: ClassVar[list[Function]] = [arq_function(job, worker_of) for job in _jobs.values()]
    cron_jobs: ClassVar[list[CronJob]] = [
        cron(knock, name=f"cron:{schedule.name}", minute=set(schedule.minutes), unique=True)
        for schedule in SCHEDULES
    ]
    redis_settings: ClassVar[RedisSettings] = redis_settings(_url)
    redis_pool: ClassVar[HeadwayRedis] = _redis
    queue_name = queue_key(settings.queue_name)
    max_jobs = settings.arq_max_jobs
    job_timeout = settings.arq_job_timeout
    keep_result = 0  # status and results live in background_jobs, readable over ARQ_KEEP_RESULT
    max_tries = 1_000_000  # attempts are the row's
    poll_delay = 0.005  # the wait is in the pool, which arq subtracts
    health_check_interval = 30
    log_results = False
    job_serializer = _redis.job_serializer
    job_deserializer = _redis.job_deserializer
    on_startup = startup
    on_shutdown = shutdown
    ctx: ClassVar[dict[str, Any]] = {"service": "headway"}
