"""The jobs of builds and deployments: what is asked, the status that follows, the audit trail."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import now
from app.jobs.context import JobContext
from app.jobs.spec import Change, JobArgs, Leftover, job
from app.jobs.states import RETRY, JobStatus
from app.releases import store
from app.releases.building import make
from app.releases.deploying import put_live
from app.releases.models import Build, Deployment, ReleaseStatus
from app.releases.recipes import Recipe, read_recipe
from app.releases.switching import EnvironmentFolder
from app.releases.workspace import still_at_work, workspace
from app.resources import Resources


class RunBuild(JobArgs, kind="build", priority=20):
    """Run a recipe and keep what it makes."""

    build_id: UUID

    def lane(self) -> str:
        """One build at a time, in the order of asking."""
        return "build"


class RunDeployment(JobArgs, kind="deployment", priority=10):
    """Make a build live in an environment."""

    deployment_id: UUID
    environment: str

    def lane(self) -> str:
        """One deployment at a time in each environment, in the order of asking."""
        return f"deploy:{self.environment}"


async def follow_build(session: AsyncSession, change: Change) -> None:
    """Move a build's status with its job, and write who did what."""
    build_id = UUID(str(change.args["build_id"]))
    await store.move(session, Build, build_id, **_status_after(change))
    await _audit(session, "build", build_id, change, {})


async def follow_deployment(session: AsyncSession, change: Change) -> None:
    """Move a deployment's status with its job, and write who did what; a new run gets a number."""
    deployment_id = UUID(str(change.args["deployment_id"]))
    environment = str(change.args["environment"])
    values, data = _status_after(change), {"environment": environment}
    if change.status is JobStatus.RUNNING:
        values["sequence"] = await store.draw_sequence(session, environment)
        data |= {"sequence": values["sequence"]}
    await store.move(session, Deployment, deployment_id, **values)
    await _audit(session, "deployment", deployment_id, change, data)


async def note_cancel_request(session: AsyncSession, change: Change) -> None:
    """Write who asked a running build or deployment to stop."""
    entity_id = UUID(str(change.args[f"{change.kind}_id"]))
    await store.audit(session, change.kind, entity_id, change.event)


async def inspect_build(resources: Resources, left: Leftover) -> Mapping[str, Any] | None:
    """Whether a lost build is really over: None while its guard lives on this host."""
    folder = resources.settings.data_dir
    if await asyncio.to_thread(still_at_work, folder, left.job_id):
        return None
    return {"processes_left": 0}


async def inspect_deployment(resources: Resources, left: Leftover) -> Mapping[str, Any] | None:
    """What is live after a deployment whose worker is lost; from now on that run is refused."""
    if await inspect_build(resources, left) is None:
        return None
    async with resources.db.reading() as session:
        row = await store.one(session, Deployment, UUID(str(left.args["deployment_id"])))
    folder = EnvironmentFolder(_releases_dir(resources), row.environment)
    live = await asyncio.to_thread(folder.close, row.sequence or 0)
    return {"live": None if live is None else live.name}


@job(
    function="run_build",
    on_change=follow_build,
    on_cancel_request=note_cancel_request,
    on_lost=inspect_build,
    releasable=False,
)
async def run_build(ctx: JobContext, args: RunBuild) -> dict[str, Any]:
    """Run the recipe under a guard, then store its artifacts and their manifest.

    A second run starts over in an empty folder: its output, artifacts and manifest replace
    those of the first. Whatever ends it early, nothing of the recipe is left running.
    """
    async with ctx.resources.db.reading() as session:
        build = await store.one(session, Build, args.build_id)
    recipe = await _recipe(ctx, build.recipe)
    recipe.check_ref(build.ref)
    async with workspace(ctx.resources, ctx.job_id) as home:
        return await make(ctx, build, recipe, home)


@job(
    function="run_deployment",
    on_change=follow_deployment,
    on_cancel_request=note_cancel_request,
    on_lost=inspect_deployment,
    releasable=False,
)
async def run_deployment(ctx: JobContext, args: RunDeployment) -> dict[str, Any]:
    """Place the build's files, switch the environment to them, check, and remove old releases.

    A second run places the files again as a new release under a higher number, and switches to
    that. A run that fails, is cancelled or handed back after the switch makes the previous
    release live again; one that a later run has overtaken changes nothing.
    """
    async with ctx.resources.db.reading() as session:
        deployment = await store.one(session, Deployment, args.deployment_id)
        build = await store.one(session, Build, deployment.build_id)
        manifest = await store.artifacts(session, build.id)
    recipe = await _recipe(ctx, build.recipe)
    folder = EnvironmentFolder(_releases_dir(ctx.resources), deployment.environment)
    async with workspace(ctx.resources, ctx.job_id) as home:
        return await put_live(ctx, deployment, build, manifest, recipe, folder, home)


async def _recipe(ctx: JobContext, name: str) -> Recipe:
    path = ctx.resources.settings.recipes_file
    assert path is not None  # the settings fill it in
    return await asyncio.to_thread(read_recipe, path, name)


def _releases_dir(resources: Resources) -> Path:
    path = resources.settings.releases_dir
    assert path is not None  # the settings fill it in
    return path


def _status_after(change: Change) -> dict[str, Any]:
    none = {"error_code": None, "error_message": None, "completed_at": None}
    if change.status is JobStatus.RUNNING:
        return none | {"status": ReleaseStatus.ONGOING, "started_at": now()}
    if change.status is JobStatus.COMPLETED:
        return none | {"status": ReleaseStatus.SUCCEEDED, "completed_at": now()}
    if change.status.ended:
        error = {"error_code": change.error_type, "error_message": change.error_message}
        return error | {"status": ReleaseStatus.FAILED, "completed_at": now()}
    return none | {"status": ReleaseStatus.PENDING, "started_at": None}


async def _audit(
    session: AsyncSession, entity_type: str, entity_id: UUID, change: Change, data: dict[str, Any]
) -> None:
    action, data = change.event, data | dict(change.facts)
    if change.status is JobStatus.COMPLETED:
        action = "succeeded"
    elif change.event == RETRY.event and change.status is JobStatus.QUEUED:
        action = "retried"
    elif change.status is JobStatus.FAILED and change.facts:
        action = "recovered"
    if change.error_type is not None:
        data |= {"error_code": change.error_type, "error_message": change.error_message}
    await store.audit(session, entity_type, entity_id, action, worker=change.worker, data=data)
