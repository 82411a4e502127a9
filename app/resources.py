"""What a process lends to its jobs and requests, opened and closed in one place."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.blobs import Blobs, open_blobs
from app.core.clock import Clock, utcnow
from app.core.db import Database
from app.mail import Mailer, open_mailer
from app.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class Resources:
    """The collaborators of one process. Replace single ones in tests with `dataclasses.replace`."""

    settings: Settings
    db: Database
    blobs: Blobs
    mailer: Mailer
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
        smtp = settings.smtp_url
        yield Resources(
            settings=settings,
            db=db,
            blobs=open_blobs(settings.blob_url),
            mailer=open_mailer(smtp.get_secret_value() if smtp else None, settings.mail_from),
        )
