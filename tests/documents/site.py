"""The application with the documents' routes and jobs alone, its users, and its worker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from app.documents.routes import router
from app.resources import Resources
from app.search.routes import router as search
from app.settings import Settings
from tests import site
from tests.documents.papers import JOBS, harness
from tests.harness import JobHarness


class Site(site.Site):
    """A running application. Its worker's embedder costs nothing."""

    @property
    def resources(self) -> Resources:
        """The application's own; those of `jobs` have another embedder."""
        found: Resources = self.app.state.services.resources
        return found

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
    async with site.open_site(settings, [router, search], JOBS) as plain:
        yield Site(plain.app, harness(plain.resources), plain.alice, plain.bob, plain.admin)


def form(path: Path, name: str | None = None) -> dict[str, Any]:
    return {"file": (name or path.name, path.read_bytes(), "application/pdf")}
