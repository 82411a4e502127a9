"""The HTTP door: `uvicorn app.main:app`, or `create_app()` for tests and for `headway up`."""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import Any

from fastapi import APIRouter, FastAPI

from app import catalogue, migrate
from app.api import docs, jobs, probes, problems, queues, sessions
from app.api.feed import Feed
from app.api.front import Front
from app.api.idempotency import prune
from app.api.live import stream_routes
from app.api.metrics import Metrics
from app.api.one_job import job_routes
from app.api.open_streams import OpenStreams
from app.api.openapi import describe
from app.api.raw import open_reader
from app.api.services import Pending, Services
from app.api.tokens import TokenCache
from app.core.failpoints import arm
from app.core.logging import configure_logging
from app.jobs.engines import open_queue, redis_of
from app.jobs.ledger import Ledger
from app.jobs.spec import Registry
from app.resources import Resources, open_resources
from app.settings import Settings, load_settings

log = logging.getLogger(__name__)

_TIDY_SECONDS = 3600.0  # between two looks for forgotten Idempotency-Keys


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is made of; tests bring their own jobs and routes."""

    registry: Registry = field(default_factory=catalogue.registry)
    routers: Sequence[APIRouter] = field(default_factory=catalogue.routers)
    pending: Pending = migrate.pending


def create_app(settings: Settings | None = None, *, parts: Parts | None = None) -> FastAPI:
    """The application, opened and closed by its lifespan.

    Args:
        settings: read from the environment when not given.
        parts: what it is made of; by default everything in the catalogue.
    """
    chosen = load_settings() if settings is None else settings
    made_of = Parts() if parts is None else parts

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with _open_services(chosen, made_of) as services:
            app.state.services = services
            with _on_stop_signal(services.feed.close):
                yield

    app = FastAPI(
        title="Headway",
        version=_version(),
        description="Background jobs as durable rows that people can watch.",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        telemetry=None,
    )
    problems.install(app)
    app.add_middleware(Front, upload_bytes=chosen.max_upload_bytes)
    described = (docs.router,) if chosen.docs == "on" else ()
    for router in (
        *described,
        probes.router,
        queues.router,
        sessions.router,
        *made_of.routers,
        jobs.router,
    ):
        app.include_router(router)
    first, last = job_routes()
    app.router.routes[:0] = [*stream_routes(), first]
    app.router.routes.append(last)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _open_services(settings: Settings, parts: Parts) -> AsyncGenerator[Services]:
    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(open_resources(settings))
        redis = redis_of(settings)
        if redis is not None:
            stack.push_async_callback(redis.aclose, close_connection_pool=True)
        queue = await stack.enter_async_context(open_queue(resources, parts.registry, redis))
        reader = open_reader(resources.db)
        stack.push_async_callback(reader.close)
        feed = Feed(reader)
        stack.push_async_callback(feed.stop)
        tokens = TokenCache(reader)
        streams = OpenStreams(tokens, settings.max_streams_per_user)
        await stack.enter_async_context(streams.minding())
        tidy = asyncio.create_task(_forget_keys(resources))
        stack.callback(tidy.cancel)
        yield Services(
            resources=resources,
            queue=queue,
            ledger=Ledger(resources.db, queue),
            reader=reader,
            tokens=tokens,
            feed=feed,
            streams=streams,
            metrics=Metrics(reader, resources.clock),
            pending=parts.pending,
            ping=None if redis is None else redis.ping,
        )


async def _forget_keys(resources: Resources) -> None:
    """Remove answers kept under an Idempotency-Key that are past their time."""
    while True:
        await asyncio.sleep(_TIDY_SECONDS)
        try:
            while await resources.db.run(prune):
                pass
        except Exception as error:  # noqa: BLE001 -- the next look comes
            log.warning("keys not forgotten", extra={"error": repr(error)[:300]})


@contextmanager
def _on_stop_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at SIGTERM and SIGINT, before whoever else listens.

    A server waits for open requests before it ends the lifespan, so a request that waits for
    news has to hear of the signal itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def heard(number: int, frame: FrameType | None) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(stop)
        earlier = before[signal.Signals(number)]
        if callable(earlier):
            earlier(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        if callable(signal.getsignal(number)):  # a server listens: uvicorn
            before[number] = signal.signal(number, heard)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class _WithoutQuery(logging.Filter):
    """Cuts the query off uvicorn's access lines: it may hold a secret."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every line, shortened."""
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, protocol, status = record.args
            record.args = (client, method, str(path).partition("?")[0], protocol, status)
        return True


def _version() -> str:
    try:
        return version("headway")
    except PackageNotFoundError:
        return "0"


def _from_environment() -> FastAPI:
    settings = load_settings()
    configure_logging(level=settings.log_level, json_lines=settings.json_logs)
    logging.getLogger("uvicorn.access").addFilter(_WithoutQuery())
    arm(settings.failpoint)
    return create_app(settings)


def __getattr__(name: str) -> FastAPI:
    """`app`, made when a server asks for it, so that importing this module reads nothing."""
    if name != "app":
        raise AttributeError(name)
    made = _from_environment()
    globals()["app"] = made
    return made
