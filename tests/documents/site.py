"""The application with the documents' routes and jobs alone, its users, and its worker."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from app.api.auth import create_token
from app.core.db import Database
from app.documents.routes import router
from app.jobs.spec import Registry
from app.main import Parts, create_app
from app.resources import Resources
from app.search.routes import router as search
from app.settings import Settings
from tests.documents.papers import JOBS, harness
from tests.harness import JobHarness


@dataclass(frozen=True, slots=True)
class Site:
    """A running application, seen by three callers."""

    app: FastAPI
    alice: httpx.AsyncClient
    bob: httpx.AsyncClient
    admin: httpx.AsyncClient

    @property
    def resources(self) -> Resources:
        found: Resources = self.app.state.services.resources
        return found

    @property
    def jobs(self) -> JobHarness:
        return harness(self.resources)

    @property
    def real_jobs(self) -> JobHarness:
        """The worker with the application's own model, as search uses it."""
        return harness(self.resources, self.resources.embedder)

    @property
    def files(self) -> list[Path]:
        """Every file in the blob store's folder."""
        folder = self.resources.settings.data_dir / "blobs"
        return [path for path in folder.rglob("*") if path.is_file()]

    async def send(self, path: Path, *, to: httpx.AsyncClient | None = None) -> httpx.Response:
        return await (to or self.alice).post("/documents", files=form(path))


@asynccontextmanager
async def open_site(settings: Settings) -> AsyncIterator[Site]:
    parts = Parts(Registry(JOBS), [router, search], _nothing_pending)
    app = create_app(settings, parts=parts)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        clients = []
        for name in ("alice", "bob", "admin"):
            async with app.state.services.resources.db.transaction() as session:
                token = await create_token(session, name, admin=name == "admin")
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://headway",
                headers={"Authorization": f"Bearer {token}"},
            )
            clients.append(await stack.enter_async_context(client))
        yield Site(app, *clients)


def form(path: Path, name: str | None = None) -> dict[str, Any]:
    return {"file": (name or path.name, path.read_bytes(), "application/pdf")}


async def _nothing_pending(_db: Database) -> None:
    return None
