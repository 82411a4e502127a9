"""Jobs in the table itself, as an admin sees them: no API needs to run."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, Self
from uuid import UUID

import msgspec

from app.api.raw import open_reader
from app.cli.client import Job, Seen
from app.cli.local import require_database
from app.core.clock import utcnow
from app.core.db import Database
from app.core.errors import NotFound
from app.jobs.store import read, workers
from app.jobs.store.queues import Queue, how_full
from app.jobs.store.read import EventView, JobView
from app.settings import Settings

_POLL_SECONDS = 0.25
_PAGE = 500


class TableJobs:
    """Reads by the reader that serves the API, and changes through the ledger."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is connected before the first call. Raises `Unavailable`."""
        self._settings = settings
        self._db = Database(settings.database_url)
        require_database(self._db)
        self._reader = open_reader(self._db)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reader.close()
        await self._db.close()

    async def page(
        self, *, status: str | None, kind: str | None, limit: int, offset: int
    ) -> tuple[list[Job], int]:
        """See `Jobs`."""
        views, total = await read.page(
            self._reader, None, status=status, kind=kind, limit=limit, offset=offset
        )
        return [_plain(view) for view in views], total

    async def one(self, job_id: UUID) -> Seen:
        """See `Jobs`."""
        found = await read.one(self._reader, str(job_id), None)
        if found is None:
            raise NotFound("there is no such job")
        return Seen(_plain(found[1]), str(found[0]))

    async def changes(self, job_id: UUID, seen: Seen) -> AsyncGenerator[Seen]:
        """See `Jobs`: by asking again and again."""
        while not seen.ended:
            await asyncio.sleep(_POLL_SECONDS)
            found = await self.one(job_id)
            if found.version != seen.version:
                seen = found
                yield seen

    async def queues(self) -> list[dict[str, Any]]:
        """See `Jobs`."""
        today = utcnow().replace(hour=0, minute=0, second=0, microsecond=0)
        return [_plain(each) for each in await how_full(self._reader, None, today)]

    async def workers(self) -> list[dict[str, Any]] | None:
        """See `Jobs`."""
        async with self._db.reading() as session:
            return await workers.shown(session, workers.ALIVE_SECONDS)

    async def events(self, job_id: UUID) -> list[dict[str, Any]]:
        """See `Jobs`."""
        events: list[dict[str, Any]] = []
        while True:
            found, total = await read.events(
                self._reader, str(job_id), limit=_PAGE, offset=len(events)
            )
            events += [_plain(event) for event in found]
            if not found or len(events) >= total:
                return events

    async def cancel(self, job_id: UUID) -> dict[str, Any]:
        """See `Jobs`."""
        from app.cli import moves  # noqa: PLC0415 -- looking takes half of the imports

        return await moves.cancel(self._settings, job_id)

    async def retry(self, job_id: UUID) -> dict[str, Any]:
        """See `Jobs`."""
        from app.cli import moves  # noqa: PLC0415

        return await moves.retry(self._settings, job_id)


def _plain(view: JobView | EventView | Queue) -> dict[str, Any]:
    """The view as it goes over the wire."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(view))
    return found
