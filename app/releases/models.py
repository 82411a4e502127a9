"""The tables of builds and deployments.

What is live in an environment is not here: it is what the symlink in RELEASES_DIR says.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.columns import BigSerial, Id, Json, UtcDateTime, new_id
from app.core.db import Base

_STATUS = "status IN ('pending', 'ongoing', 'succeeded', 'failed')"


class ReleaseStatus(StrEnum):
    """Where a build or a deployment stands; it moves in the transaction that moves its job."""

    PENDING = "pending"
    ONGOING = "ongoing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Build(Base):
    """One run of a recipe."""

    __tablename__ = "builds"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    recipe: Mapped[str] = mapped_column(String(64))
    ref: Mapped[str | None] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(16))
    job_id: Mapped[UUID] = mapped_column(Id)
    requested_by: Mapped[UUID | None] = mapped_column(Id)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    artifact_count: Mapped[int | None] = mapped_column(Integer)
    artifact_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (CheckConstraint(_STATUS, name="status"),)


class BuildArtifact(Base):
    """One file that a build has made; its bytes are a blob."""

    __tablename__ = "build_artifacts"

    build_id: Mapped[UUID] = mapped_column(Id, ForeignKey("builds.id"), primary_key=True)
    path: Mapped[str] = mapped_column(String(1024), primary_key=True)  # relative, with slashes
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))  # also the name of the blob
    executable: Mapped[bool]


class BuildOutput(Base):
    """A piece of what a build has printed. Where positions leave a gap, something was left out."""

    __tablename__ = "build_output"

    build_id: Mapped[UUID] = mapped_column(Id, ForeignKey("builds.id"), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # bytes before it
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Environment(Base):
    """Where builds are deployed, and how many runs have begun to do so."""

    __tablename__ = "environments"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    last_sequence: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Deployment(Base):
    """One build on its way into one environment.

    `sequence` is drawn anew whenever a run begins, so it follows the order of the runs, also
    after a retry; the folder of releases refuses a run when a later one has begun.
    """

    __tablename__ = "deployments"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    build_id: Mapped[UUID] = mapped_column(Id, ForeignKey("builds.id"))
    environment: Mapped[str] = mapped_column(String(64), ForeignKey("environments.name"))
    sequence: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16))
    job_id: Mapped[UUID] = mapped_column(Id)
    requested_by: Mapped[UUID | None] = mapped_column(Id)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint(_STATUS, name="status"),
        Index("ix_deployments_environment", "environment", "id"),
    )


class AuditLine(Base):
    """Who did what, when: only ever added to."""

    __tablename__ = "audit_log"

    seq: Mapped[int] = mapped_column(BigSerial, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    entity_type: Mapped[str] = mapped_column(String(32))
    entity_id: Mapped[UUID] = mapped_column(Id)
    action: Mapped[str] = mapped_column(String(32))
    actor_id: Mapped[UUID | None] = mapped_column(Id)  # the person; None where a worker acted
    actor: Mapped[str | None] = mapped_column(String(64))
    worker: Mapped[str | None] = mapped_column(String(200))
    data: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (
        Index("ix_audit_log_entity", "entity_type", "entity_id", "seq"),
        {"sqlite_autoincrement": True},
    )
