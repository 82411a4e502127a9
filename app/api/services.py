"""What one API process lends to its requests."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from starlette.requests import HTTPConnection

from app.api.feed import Feed
from app.api.idempotency import InProcess
from app.api.metrics import Metrics
from app.api.open_streams import OpenStreams
from app.api.tokens import TokenCache
from app.core.db import Database
from app.jobs.ledger import Ledger
from app.jobs.queue import JobQueue
from app.jobs.store.queues import Queue
from app.jobs.store.read import Reader
from app.resources import Resources

Pending = Callable[[Database], Awaitable[str | None]]
Ping = Callable[[], Awaitable[object]]


@dataclass(kw_only=True)
class Services:
    """Built once in `app.main`; a request finds it with `services_of`."""

    resources: Resources
    queue: JobQueue
    ledger: Ledger
    reader: Reader
    tokens: TokenCache
    feed: Feed
    streams: OpenStreams
    metrics: Metrics
    pending: Pending  # what is missing of the migrations, or None
    ping: Ping | None  # asks Redis, where there is one
    keyed: InProcess = field(default_factory=InProcess)
    counted: dict[UUID | None, tuple[float, list[Queue]]] = field(default_factory=dict)
    migrated_until: float = 0.0  # the schema was seen to be the newest; on the monotonic clock

    @cached_property
    def secret(self) -> bytes:
        """The key under which requests are fingerprinted; made at its first use."""
        return self.resources.settings.secret()


def services_of(connection: HTTPConnection) -> Services:
    """The services of the process that answers this request."""
    found: Services = connection.app.state.services
    return found
