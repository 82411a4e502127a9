"""Builds, deployments, environments and the audit trail as they go over the wire."""

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas import EXAMPLE_ID
from app.core.clock import wire
from app.releases.models import AuditLine, Build, BuildArtifact, Deployment
from app.releases.recipes import REF_CHARACTERS
from app.releases.switching import Release

_Environment = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]


class BuildRequest(BaseModel):
    """Which recipe to run; `ref` reaches it as HEADWAY_REF."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"recipe": "site", "ref": "v1.4.0"}}
    )

    recipe: Annotated[str, Field(min_length=1, max_length=64)]
    ref: Annotated[str, Field(max_length=REF_CHARACTERS)] | None = None


class DeploymentRequest(BaseModel):
    """Which build to make live, and where."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"build_id": EXAMPLE_ID, "environment": "production"}},
    )

    build_id: UUID
    environment: _Environment


class _Entity(BaseModel):
    id: UUID
    status: str
    job_id: UUID
    requested_by: UUID | None
    error_code: str | None
    error_message: str | None
    created_at: str
    started_at: str | None
    completed_at: str | None

    @staticmethod
    def common(row: Build | Deployment) -> dict[str, Any]:
        """The fields that both have."""
        return {
            "id": row.id,
            "status": row.status,
            "job_id": row.job_id,
            "requested_by": row.requested_by,
            "error_code": row.error_code,
            "error_message": row.error_message,
            "created_at": wire(row.created_at),
            "started_at": None if row.started_at is None else wire(row.started_at),
            "completed_at": None if row.completed_at is None else wire(row.completed_at),
        }


class BuildView(_Entity):
    """One build, as lists have it."""

    recipe: str
    ref: str | None
    artifact_count: int | None
    artifact_bytes: int | None

    @classmethod
    def of(cls, row: Build) -> Self:
        """The row as the API reports it."""
        return cls(
            recipe=row.recipe,
            ref=row.ref,
            artifact_count=row.artifact_count,
            artifact_bytes=row.artifact_bytes,
            **cls.common(row),
        )


class ArtifactView(BaseModel):
    """One file that a build has made."""

    path: str
    size_bytes: int
    sha256: str
    executable: bool

    @classmethod
    def of(cls, row: BuildArtifact) -> Self:
        """The row as the API reports it."""
        return cls(
            path=row.path, size_bytes=row.size_bytes, sha256=row.sha256, executable=row.executable
        )


class BuildDetail(BuildView):
    """One build with its manifest, by path."""

    artifacts: list[ArtifactView] = []


class BuildList(BaseModel):
    """Part of the builds, newest first."""

    items: list[BuildView]
    total: int


class DeploymentView(_Entity):
    """One deployment; `sequence` is the number of its last run in its environment."""

    build_id: UUID
    environment: str
    sequence: int | None

    @classmethod
    def of(cls, row: Deployment) -> Self:
        """The row as the API reports it."""
        return cls(
            build_id=row.build_id,
            environment=row.environment,
            sequence=row.sequence,
            **cls.common(row),
        )


class DeploymentList(BaseModel):
    """Part of the deployments, newest first."""

    items: list[DeploymentView]
    total: int


class EnvironmentView(BaseModel):
    """What is live in one environment, as the link `current` says; nulls where nothing is."""

    environment: str
    build_id: UUID | None
    sequence: int | None
    release: str | None
    deployment_id: UUID | None

    @classmethod
    def of(cls, name: str, live: Release | None, deployment_id: UUID | None) -> Self:
        """The link as the API reports it."""
        return cls(
            environment=name,
            build_id=None if live is None else live.build_id,
            sequence=None if live is None else live.sequence,
            release=None if live is None else live.name,
            deployment_id=deployment_id,
        )


class EnvironmentList(BaseModel):
    """The environments by name."""

    items: list[EnvironmentView]
    total: int


class AuditView(BaseModel):
    """Who did what, when: `actor` is the person, `worker` the process."""

    seq: int
    at: str
    entity_type: str
    entity_id: UUID
    action: str
    actor: str | None
    actor_id: UUID | None
    worker: str | None
    data: dict[str, Any] | None

    @classmethod
    def of(cls, row: AuditLine) -> Self:
        """The row as the API reports it."""
        return cls(
            seq=row.seq,
            at=wire(row.at),
            entity_type=row.entity_type,
            entity_id=row.entity_id,
            action=row.action,
            actor=row.actor,
            actor_id=row.actor_id,
            worker=row.worker,
            data=row.data,
        )


class AuditList(BaseModel):
    """Part of the audit trail, oldest first."""

    items: list[AuditView]
    total: int
