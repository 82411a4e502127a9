"""The real application with backups and search, and people who use it."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from app.api.auth import create_token
from app.core.db import Database
from tests.backups.house import House

_LISTS = {
    "message": "messages",
    "whatsapp_message": "whatsapp-messages",
    "backup_note": "notes",
    "photo": "photos",
    "event": "events",
    "contact": "contacts",
}


async def up_to_date(db: Database) -> str | None:
    return None


class Site:
    def __init__(
        self, house: House, truth: dict[str, int], stack: AsyncExitStack, app: Any
    ) -> None:
        self.house, self.truth, self._stack, self._app = house, truth, stack, app

    async def user(self, name: str, **how: Any) -> httpx.AsyncClient:
        async with self.house.resources.db.transaction() as session:
            token = await create_token(session, name, **how)
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self._app),
            base_url="http://headway.test",
            headers={"Authorization": f"Bearer {token}"},
        )
        return await self._stack.enter_async_context(client)

    async def items(
        self, client: httpx.AsyncClient, backup_id: str, kind: str
    ) -> list[dict[str, Any]]:
        """Everything in the list where search results of a kind are."""
        return await all_items(client, f"/backups/{backup_id}/{_LISTS[kind]}")

    async def indexed(self, client: httpx.AsyncClient, path: Path) -> str:
        posted = await client.post("/backups", json={"path": str(path), "name": "my phone"})
        assert posted.status_code == 202, posted.text
        await self.house.jobs.run_all()
        return str(posted.json()["backup_id"])


async def all_items(client: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    total = 1
    while len(found) < total:
        page = (await client.get(url, params={"limit": 200, "offset": len(found)})).json()
        total = page["total"]
        found += page["items"]
    return found
