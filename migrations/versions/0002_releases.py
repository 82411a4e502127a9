"""Builds and deployments: their tables, and the audit trail.

Revision ID: 0002_releases
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from app.core.columns import BigSerial, Id, Json, UtcDateTime

revision = "0002_releases"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATUS = "status IN ('pending', 'ongoing', 'succeeded', 'failed')"


def upgrade() -> None:
    op.create_table(
        "builds",
        sa.Column("id", Id(), nullable=False),
        sa.Column("recipe", sa.String(length=64), nullable=False),
        sa.Column("ref", sa.String(length=255), nullable=True),
        *_common(),
        sa.Column("artifact_count", sa.Integer(), nullable=True),
        sa.Column("artifact_bytes", sa.BigInteger(), nullable=True),
        *_times(),
        sa.CheckConstraint(_STATUS, name="status"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_builds")),
    )
    op.create_table(
        "build_artifacts",
        sa.Column("build_id", Id(), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("executable", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["build_id"], ["builds.id"], name=op.f("fk_build_artifacts_build_id")
        ),
        sa.PrimaryKeyConstraint("build_id", "path", name=op.f("pk_build_artifacts")),
    )
    op.create_table(
        "build_output",
        sa.Column("build_id", Id(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["build_id"], ["builds.id"], name=op.f("fk_build_output_build_id")),
        sa.PrimaryKeyConstraint("build_id", "position", name=op.f("pk_build_output")),
    )
    op.create_table(
        "environments",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_environments")),
    )
    op.create_table(
        "deployments",
        sa.Column("id", Id(), nullable=False),
        sa.Column("build_id", Id(), nullable=False),
        sa.Column("environment", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        *_common(),
        *_times(),
        sa.CheckConstraint(_STATUS, name="status"),
        sa.ForeignKeyConstraint(["build_id"], ["builds.id"], name=op.f("fk_deployments_build_id")),
        sa.ForeignKeyConstraint(
            ["environment"], ["environments.name"], name=op.f("fk_deployments_environment")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
    )
    op.create_index("ix_deployments_environment", "deployments", ["environment", "id"])
    op.create_table(
        "audit_log",
        sa.Column("seq", BigSerial, autoincrement=True, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("entity_type", sa.String(length=32), nullable=False),
        sa.Column("entity_id", Id(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("actor_id", Id(), nullable=True),
        sa.Column("actor", sa.String(length=64), nullable=True),
        sa.Column("worker", sa.String(length=200), nullable=True),
        sa.Column("data", Json, nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_log")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_entity", "audit_log", ["entity_type", "entity_id", "seq"])


def downgrade() -> None:
    for table in (
        "audit_log",
        "deployments",
        "environments",
        "build_output",
        "build_artifacts",
        "builds",
    ):
        op.drop_table(table)


def _common() -> list[sa.Column]:
    return [
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("job_id", Id(), nullable=False),
        sa.Column("requested_by", Id(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
    ]


def _times() -> list[sa.Column]:
    return [
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
    ]
