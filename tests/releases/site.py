"""The application with the routes and jobs of releases alone, an admin, a reader, and its files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from app.jobs.models import BackgroundJob
from app.jobs.spec import Job
from app.releases.jobs import run_build, run_deployment
from app.releases.routes import router
from app.resources import Resources
from app.settings import Settings
from tests.harness import JobHarness
from tests.site import open_app

JOBS: list[Job[Any]] = [run_build, run_deployment]
ENDED = ("succeeded", "failed")


@dataclass(frozen=True, slots=True)
class Site:
    """A running application. Its worker is the harness's, unless a test starts real ones."""

    app: FastAPI
    admin: httpx.AsyncClient
    reader: httpx.AsyncClient

    @property
    def resources(self) -> Resources:
        found: Resources = self.app.state.services.resources
        return found

    @property
    def jobs(self) -> JobHarness:
        return JobHarness(self.resources, JOBS)

    @property
    def data(self) -> Path:
        return self.resources.settings.data_dir

    def recipes(self, **tables: dict[str, Any]) -> None:
        """Write the recipes file."""
        lines = []
        for name, table in tables.items():
            lines.append(f"[recipes.{name}]")
            lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "recipes.toml").write_text("\n".join(lines) + "\n")

    async def ask_build(self, recipe: str = "site", **more: Any) -> dict[str, Any]:
        return await self._ask("/builds", {"recipe": recipe, **more})

    async def ask_deployment(self, build_id: str, environment: str = "prod") -> dict[str, Any]:
        return await self._ask("/deployments", {"build_id": build_id, "environment": environment})

    async def build(self, recipe: str = "site", **more: Any) -> dict[str, Any]:
        """Ask for a build, run it here, and give back its view."""
        asked = await self.ask_build(recipe, **more)
        await self.jobs.run_all()
        return await self.get(f"/builds/{asked['build_id']}")

    async def deploy(self, build_id: str, environment: str = "prod") -> dict[str, Any]:
        asked = await self.ask_deployment(build_id, environment)
        await self.jobs.run_all()
        return await self.get(f"/deployments/{asked['deployment_id']}")

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self.admin.get(path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def log(self, build_id: str) -> str:
        return (await self.reader.get(f"/builds/{build_id}/log")).text

    async def job(self, view: dict[str, Any]) -> BackgroundJob:
        return await self.jobs.row(UUID(view["job_id"]))

    async def audit(self, entity_id: str) -> list[dict[str, Any]]:
        found = await self.get(f"/audit?entity_id={entity_id}&limit=200")
        items: list[dict[str, Any]] = found["items"]
        return items

    async def actions(self, entity_id: str) -> list[str]:
        return [line["action"] for line in await self.audit(entity_id)]

    async def live(self, environment: str = "prod") -> dict[str, Any]:
        for each in (await self.get("/environments?limit=200"))["items"]:
            if each["environment"] == environment:
                found: dict[str, Any] = each
                return found
        raise AssertionError(f"no environment {environment}")

    def current(self, environment: str = "prod") -> Path:
        return self.data / "releases" / environment / "current"

    async def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.admin.post(path, json=body)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found


def shell(script: str, artifacts: Any = "index.html", **more: Any) -> dict[str, Any]:
    """A recipe that runs a script."""
    return {"command": ["sh", "-c", script], "artifacts": artifacts, **more}


@asynccontextmanager
async def open_site(settings: Settings) -> AsyncIterator[Site]:
    names = ("root", "reader")
    async with open_app(settings, [router], JOBS, names, admin="root") as (app, callers):
        yield Site(app, *callers)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        escaped = "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or c in '"\\' else c for c in value)
        return f'"{escaped}"'
    return str(value).lower() if isinstance(value, bool) else str(value)
