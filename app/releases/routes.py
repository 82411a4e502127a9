"""HTTP for builds, deployments, environments and the audit trail.

Admins act and read the audit trail; every token may read the rest.
"""

import asyncio
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.api.accepted import accepted
from app.api.deps import (
    AdminDep,
    OnceDep,
    PageDep,
    QueueDep,
    ReadDep,
    ResourcesDep,
    SessionDep,
    UserDep,
)
from app.api.schemas import problems, starts_work
from app.core.columns import new_id
from app.releases import store
from app.releases.build_log import joined
from app.releases.jobs import RunBuild, RunDeployment
from app.releases.models import Build, Deployment
from app.releases.recipes import read_recipe
from app.releases.schemas import (
    ArtifactView,
    AuditList,
    AuditView,
    BuildDetail,
    BuildList,
    BuildRequest,
    BuildView,
    DeploymentList,
    DeploymentRequest,
    DeploymentView,
    EnvironmentList,
    EnvironmentView,
)
from app.releases.switching import EnvironmentFolder, environments
from app.resources import Resources

router = APIRouter(tags=["builds and deployments"])

_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {}}, "description": "The output so far"}
}


@router.post("/builds", status_code=202, responses=starts_work(403))
async def start_build(
    body: BuildRequest,
    admin: AdminDep,
    resources: ResourcesDep,
    session: SessionDep,
    queue: QueueDep,
    once: OnceDep,
) -> Response:
    """Run a recipe of RECIPES_FILE; one build at a time, in the order of asking."""

    async def work() -> Response:
        path = resources.settings.recipes_file
        assert path is not None  # the settings fill it in
        recipe = await asyncio.to_thread(read_recipe, path, body.recipe)
        recipe.check_ref(body.ref)
        build_id = new_id()
        job = await queue.enqueue(session, RunBuild(build_id=build_id), owner_id=admin.id)
        build = Build(
            id=build_id, recipe=body.recipe, ref=body.ref, job_id=job.id, requested_by=admin.id
        )
        await store.add_build(session, build)
        data = {"recipe": body.recipe, "ref": body.ref}
        await store.audit(session, "build", build_id, "requested", data=data)
        return accepted(job, "The build is queued.", build_id=build_id)

    return await once.answer(session, body.model_dump(mode="json"), work)


@router.get("/builds")
async def list_builds(session: ReadDep, _user: UserDep, page: PageDep) -> BuildList:
    """All builds, newest first."""
    rows, total = await store.newest(session, Build, limit=page.limit, offset=page.offset)
    return BuildList(items=[BuildView.of(row) for row in rows], total=total)


@router.get("/builds/{build_id}", responses=problems(404))
async def show_build(build_id: UUID, session: ReadDep, _user: UserDep) -> BuildDetail:
    """One build, with what it has made."""
    detail = BuildDetail.of(await store.one(session, Build, build_id))
    made = [ArtifactView.of(row) for row in await store.artifacts(session, build_id)]
    return detail.model_copy(update={"artifacts": made})


@router.get("/builds/{build_id}/log", responses=_TEXT | problems(404), response_class=Response)
async def read_log(build_id: UUID, session: ReadDep, _user: UserDep) -> Response:
    """What the recipe has printed so far. Of much output, the beginning and the end are kept."""
    await store.one(session, Build, build_id)
    text = joined(await store.output(session, build_id))
    return Response(text, media_type="text/plain", headers={"X-Content-Type-Options": "nosniff"})


@router.post("/deployments", status_code=202, responses=starts_work(403, 404))
async def start_deployment(
    body: DeploymentRequest, admin: AdminDep, session: SessionDep, queue: QueueDep, once: OnceDep
) -> Response:
    """Make a build live in an environment; one at a time in each, in the order of asking."""

    async def work() -> Response:
        deployment_id = new_id()
        args = RunDeployment(deployment_id=deployment_id, environment=body.environment)
        job = await queue.enqueue(session, args, owner_id=admin.id)
        deployment = Deployment(
            id=deployment_id,
            build_id=body.build_id,
            environment=body.environment,
            job_id=job.id,
            requested_by=admin.id,
        )
        await store.add_deployment(session, deployment)
        data = {"build_id": str(body.build_id), "environment": body.environment}
        await store.audit(session, "deployment", deployment_id, "requested", data=data)
        return accepted(job, "The deployment is queued.", deployment_id=deployment_id)

    return await once.answer(session, body.model_dump(mode="json"), work)


@router.get("/deployments")
async def list_deployments(session: ReadDep, _user: UserDep, page: PageDep) -> DeploymentList:
    """All deployments, newest first."""
    rows, total = await store.newest(session, Deployment, limit=page.limit, offset=page.offset)
    return DeploymentList(items=[DeploymentView.of(row) for row in rows], total=total)


@router.get("/deployments/{deployment_id}", responses=problems(404))
async def show_deployment(deployment_id: UUID, session: ReadDep, _user: UserDep) -> DeploymentView:
    """One deployment."""
    return DeploymentView.of(await store.one(session, Deployment, deployment_id))


@router.get("/environments")
async def list_environments(
    session: ReadDep, resources: ResourcesDep, _user: UserDep, page: PageDep
) -> EnvironmentList:
    """What is live in each environment, as its link says now."""
    known = await store.environment_names(session)
    names = await asyncio.to_thread(_names, resources, known)
    shown = names[page.offset : page.offset + page.limit]
    live = await asyncio.to_thread(
        lambda: {name: _folder(resources, name).live() for name in shown}
    )
    sequences = {name: found.sequence for name, found in live.items() if found is not None}
    by_name = await store.deployments_by_sequence(session, sequences)
    items = [EnvironmentView.of(name, live[name], by_name.get(name)) for name in shown]
    return EnvironmentList(items=items, total=len(names))


@router.get("/audit", responses=problems(403))
async def read_audit(
    session: ReadDep,
    _admin: AdminDep,
    page: PageDep,
    entity_type: Annotated[Literal["build", "deployment"] | None, Query()] = None,
    entity_id: UUID | None = None,
) -> AuditList:
    """Who did what, when; oldest first."""
    rows, total = await store.audit_lines(
        session, entity_type, entity_id, limit=page.limit, offset=page.offset
    )
    return AuditList(items=[AuditView.of(row) for row in rows], total=total)


def _names(resources: Resources, known: list[str]) -> list[str]:
    path = resources.settings.releases_dir
    assert path is not None  # the settings fill it in
    return sorted({*known, *environments(path)})


def _folder(resources: Resources, name: str) -> EnvironmentFolder:
    path = resources.settings.releases_dir
    assert path is not None  # the settings fill it in
    return EnvironmentFolder(path, name)
