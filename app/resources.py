"""What a process lends to its jobs and requests, opened and closed in one place."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.blobs import Blobs, open_blobs
from app.core.clock import Clock, utcnow
from app.core.db import Database
from app.core.scratch import sweep
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Resources:
    """The collaborators of one process. Replace single ones in tests with `dataclasses.replace`."""

    settings: Settings
    db: Database
    blobs: Blobs
    clock: Clock = utcnow


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncGenerator[Resources]:
    """Open everything that `settings` name; nothing is connected before its first use."""
    async with AsyncExitStack() as stack:
        db = Database(settings.database_url)
        stack.push_async_callback(db.close)
        await asyncio.to_thread(sweep, settings.data_dir / "scratch")  # of those that were killed
        yield Resources(settings=settings, db=db, blobs=open_blobs(settings.blob_url))
