"""What a process lends to its jobs and requests, opened and closed in one place."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.blobs import Blobs, open_blobs
from app.core.clock import Clock, utcnow
from app.core.db import Database
from app.core.scratch import sweep
from app.embedding import Embedder, open_embedder
from app.mail import Mailer, open_mailer
from app.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class Resources:
    """The collaborators of one process. Replace single ones in tests with `dataclasses.replace`."""

    settings: Settings
    db: Database
    blobs: Blobs
    mailer: Mailer
    embedder: Embedder
    clock: Clock = utcnow


@asynccontextmanager
async def open_resources(settings: Settings | None = None) -> AsyncGenerator[Resources]:
    """Open everything that `settings` name; nothing is connected before its first use.

    Without `settings` the environment is read, as at any other door.
    """
    settings = load_settings() if settings is None else settings
    async with AsyncExitStack() as stack:
        db = Database(settings.database_url)
        stack.push_async_callback(db.close)
        await asyncio.to_thread(sweep, settings.data_dir / "scratch")  # of those that were killed
        embedder = embedder_of(settings)
        stack.push_async_callback(embedder.aclose)
        yield Resources(
            settings=settings,
            db=db,
            blobs=open_blobs(settings.blob_url),
            mailer=_mailer(settings),
            embedder=embedder,
        )


def _mailer(settings: Settings) -> Mailer:
    url = settings.smtp_url
    return open_mailer(None if url is None else url.get_secret_value(), settings.mail_from)


def embedder_of(settings: Settings) -> Embedder:
    """The embedder that `settings` name; nothing is loaded or connected before its use."""
    key = settings.embedding_api_key
    return open_embedder(
        settings.embedding_provider,
        folder=settings.data_dir / "models",
        base_url=settings.embedding_base_url,
        api_key=None if key is None else key.get_secret_value(),
        model=settings.embedding_model,
    )
