"""The first tables: jobs, users and tokens, backups with messages, documents with pages.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

from app.core.columns import BigSerial, Id, Json, LeaseEnd, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "background_jobs",
        sa.Column("seq", BigSerial, autoincrement=True, nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("queue", sa.String(length=64), server_default="default", nullable=False),
        sa.Column("status", sa.String(length=16), server_default="queued", nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("lane", sa.String(length=200), nullable=True),
        sa.Column("unique_key", sa.String(length=200), nullable=True),
        sa.Column("owner_id", Id(), nullable=True),
        sa.Column("parent_id", Id(), nullable=True),
        sa.Column("schedule", sa.String(length=64), nullable=True),
        sa.Column("slot", UtcDateTime(), nullable=True),
        sa.Column("args", Json, nullable=False),
        sa.Column("result", Json, nullable=True),
        sa.Column("stage", sa.String(length=64), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("total_items", sa.Integer(), nullable=True),
        sa.Column("processed_items", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed_items", sa.Integer(), server_default="0", nullable=False),
        sa.Column("progress_percent", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("items_per_second", sa.Double(), nullable=True),
        sa.Column("eta_seconds", sa.Double(), nullable=True),
        sa.Column("cursor", Json, nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default="1", nullable=False),
        sa.Column("lapses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("run_after", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("heartbeat_at", UtcDateTime(), nullable=True),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.Column("worker_id", sa.String(length=200), nullable=True),
        sa.Column("lease_token", Id(), nullable=True),
        sa.Column("lease_expires_at", LeaseEnd, nullable=True),
        sa.Column("lease_boot", sa.String(length=64), nullable=True),
        sa.Column(
            "cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("error_type", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_trace", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("ring", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rung_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'completed', 'failed', 'cancelled')",
            name=op.f("ck_background_jobs_status"),
        ),
        sa.CheckConstraint(
            "progress_percent BETWEEN 0 AND 100", name=op.f("ck_background_jobs_progress_percent")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_background_jobs")),
        sa.UniqueConstraint("id", name=op.f("uq_background_jobs_id")),
        postgresql_with={
            "autovacuum_vacuum_scale_factor": "0.01",
            "autovacuum_vacuum_insert_scale_factor": "0.05",
            "autovacuum_analyze_scale_factor": "0.02",
        },
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_background_jobs_ended",
        "background_jobs",
        ["completed_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('completed', 'failed', 'cancelled')"),
        sqlite_where=sa.text("status IN ('completed', 'failed', 'cancelled')"),
    )
    op.create_index(
        "ix_background_jobs_heads",
        "background_jobs",
        ["lane", sa.literal_column("priority DESC"), "seq"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND lane IS NOT NULL"),
        sqlite_where=sa.text("status = 'queued' AND lane IS NOT NULL"),
    )
    op.create_index(
        "ix_background_jobs_lane_ends",
        "background_jobs",
        ["lane", "completed_at"],
        unique=False,
        postgresql_where=sa.text("lane IS NOT NULL"),
        sqlite_where=sa.text("lane IS NOT NULL"),
    )
    op.create_index(
        "ix_background_jobs_lanes",
        "background_jobs",
        ["queue", "lane"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND lane IS NOT NULL"),
        sqlite_where=sa.text("status = 'queued' AND lane IS NOT NULL"),
    )
    op.create_index(
        "ix_background_jobs_leases",
        "background_jobs",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'running'"),
        sqlite_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "ix_background_jobs_owner",
        "background_jobs",
        ["owner_id", sa.literal_column("seq DESC")],
        unique=False,
    )
    op.create_index("ix_background_jobs_parent", "background_jobs", ["parent_id"], unique=False)
    op.create_index(
        "ix_background_jobs_ready",
        "background_jobs",
        ["queue", sa.literal_column("priority DESC"), "run_after", "seq"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND lane IS NULL"),
        sqlite_where=sa.text("status = 'queued' AND lane IS NULL"),
    )
    op.create_index(
        "ix_background_jobs_suspects",
        "background_jobs",
        ["queue", "run_after"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND lapses > 0"),
        sqlite_where=sa.text("status = 'queued' AND lapses > 0"),
    )
    op.create_index(
        "ix_background_jobs_urgent_lanes",
        "background_jobs",
        ["queue", "lane"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND lane IS NOT NULL AND priority > 0"),
        sqlite_where=sa.text("status = 'queued' AND lane IS NOT NULL AND priority > 0"),
    )
    op.create_index(
        "ix_background_jobs_waiting",
        "background_jobs",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("status = 'queued'"),
        sqlite_where=sa.text("status = 'queued'"),
    )
    op.create_index(
        "uq_background_jobs_lane",
        "background_jobs",
        ["lane"],
        unique=True,
        postgresql_where=sa.text("status = 'running' AND lane IS NOT NULL"),
        sqlite_where=sa.text("status = 'running' AND lane IS NOT NULL"),
    )
    op.create_index("uq_background_jobs_slot", "background_jobs", ["schedule", "slot"], unique=True)
    op.create_index(
        "uq_background_jobs_unique_key",
        "background_jobs",
        ["kind", "unique_key"],
        unique=True,
        postgresql_where=sa.text("status IN ('queued', 'running') AND unique_key IS NOT NULL"),
        sqlite_where=sa.text("status IN ('queued', 'running') AND unique_key IS NOT NULL"),
    )
    op.create_table(
        "backup_artifacts",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("domain", sa.String(length=32), nullable=False),
        sa.Column("live_generation", sa.Integer(), nullable=True),
        sa.Column("next_generation", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("counts", Json, nullable=False),
        sa.Column("warnings", Json, nullable=False),
        sa.PrimaryKeyConstraint("backup_id", "domain", name=op.f("pk_backup_artifacts")),
    )
    op.create_table(
        "backups",
        sa.Column("id", Id(), nullable=False),
        sa.Column("owner_id", Id(), nullable=True),
        sa.Column("confined_to", sa.Text(), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("artifacts", Json, nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("job_id", Id(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("ios_version", sa.Text(), nullable=True),
        sa.Column("udid", sa.Text(), nullable=True),
        sa.Column("backed_up_at", UtcDateTime(), nullable=True),
        sa.Column("warnings", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("indexed_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "status IN ('REGISTERED', 'INDEXING', 'INDEXED', 'FAILED')",
            name=op.f("ck_backups_status"),
        ),
        sa.CheckConstraint(
            "(path IS NULL) <> (artifacts IS NULL)", name=op.f("ck_backups_path_or_artifacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backups")),
    )
    op.create_index(
        "ix_backups_owner",
        "backups",
        ["owner_id", sa.literal_column("created_at DESC")],
        unique=False,
    )
    op.create_table(
        "document_pages",
        sa.Column("document_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("page_number", sa.Integer(), nullable=False),
        sa.Column("has_text", sa.Boolean(), nullable=False),
        sa.Column("needs_ocr", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "document_id", "generation", "page_number", name=op.f("pk_document_pages")
        ),
    )
    op.create_table(
        "documents",
        sa.Column("id", Id(), nullable=False),
        sa.Column("owner_id", Id(), nullable=False),
        sa.Column("filename", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("page_count", sa.Integer(), nullable=True),
        sa.Column("pages_without_text", sa.Integer(), nullable=True),
        sa.Column("needs_ocr", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("live_generation", sa.Integer(), nullable=True),
        sa.Column("last_generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("job_ids", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "status IN ('uploaded', 'indexing', 'ready', 'failed')",
            name=op.f("ck_documents_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sa.UniqueConstraint("owner_id", "sha256", name=op.f("uq_documents_owner_id_sha256")),
    )
    op.create_index("ix_documents_owner_id_id", "documents", ["owner_id", "id"], unique=False)
    op.create_index("ix_documents_sha256", "documents", ["sha256"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", Id(), nullable=False),
        sa.Column("method", sa.String(length=8), nullable=False),
        sa.Column("route", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("media_type", sa.String(length=100), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_keys")),
        sa.UniqueConstraint(
            "user_id",
            "method",
            "route",
            "key",
            name=op.f("uq_idempotency_keys_user_id_method_route_key"),
        ),
    )
    op.create_index(
        "ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False
    )
    op.create_table(
        "job_events",
        sa.Column("seq", BigSerial, autoincrement=True, nullable=False),
        sa.Column("job_id", Id(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=200), nullable=True),
        sa.Column("data", Json, nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_job_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_events_job", "job_events", ["job_id", "seq"], unique=False)
    op.create_table(
        "message_attachments",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("message", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("guid", sa.Text(), nullable=True),
        sa.Column("filename", sa.Text(), nullable=True),
        sa.Column("mime_type", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("file_id", sa.String(length=40), nullable=True),
        sa.Column("file_present", sa.Boolean(), nullable=True),
        sa.Column("is_sticker", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(
            "backup_id", "generation", "message", "position", name=op.f("pk_message_attachments")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message_conversations",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("guid", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("is_group", sa.Boolean(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("participants", Json, nullable=False),
        sa.Column("message_count", sa.BigInteger(), nullable=False),
        sa.Column("last_message_at", UtcDateTime(), nullable=True),
        sa.Column("person_key", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "backup_id", "generation", "number", name=op.f("pk_message_conversations")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "messages",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("guid", sa.Text(), nullable=False),
        sa.Column("conversation", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("is_from_me", sa.Boolean(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("reply_to_guid", sa.Text(), nullable=True),
        sa.Column("edited_at", UtcDateTime(), nullable=True),
        sa.Column("edits", Json, nullable=True),
        sa.Column("unsent", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.Column("effect", sa.Text(), nullable=True),
        sa.Column("error_code", sa.BigInteger(), nullable=True),
        sa.Column("reactions", Json, nullable=True),
        sa.Column("event", Json, nullable=True),
        sa.Column("link", Json, nullable=True),
        sa.PrimaryKeyConstraint("backup_id", "generation", "number", name=op.f("pk_messages")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_messages_conversation",
        "messages",
        ["backup_id", "generation", "conversation", "sent_at", "number"],
        unique=False,
    )
    op.create_index(
        "ix_messages_list",
        "messages",
        ["backup_id", "generation", "sent_at", "number"],
        unique=False,
    )
    op.create_table(
        "users",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("is_admin", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "worker_duties",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=True),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker_duties")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("engine", sa.String(length=16), nullable=False),
        sa.Column("queues", Json, nullable=False),
        sa.Column("kinds", Json, nullable=False),
        sa.Column("max_jobs", sa.Integer(), nullable=False),
        sa.Column("running", sa.Integer(), server_default="0", nullable=False),
        sa.Column("recovered", sa.Integer(), server_default="0", nullable=False),
        sa.Column("leases_lost", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", Id(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.String(length=8), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_tokens_token_hash")),
    )
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_tokens_user_id", table_name="tokens")
    op.drop_table("tokens")
    op.drop_table("workers")
    op.drop_table("worker_duties")
    op.drop_table("users")
    op.drop_index("ix_messages_list", table_name="messages")
    op.drop_index("ix_messages_conversation", table_name="messages")
    op.drop_table("messages")
    op.drop_table("message_conversations")
    op.drop_table("message_attachments")
    op.drop_index("ix_job_events_job", table_name="job_events")
    op.drop_table("job_events")
    op.drop_index("ix_idempotency_keys_created_at", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index("ix_documents_sha256", table_name="documents")
    op.drop_index("ix_documents_owner_id_id", table_name="documents")
    op.drop_table("documents")
    op.drop_table("document_pages")
    op.drop_index("ix_backups_owner", table_name="backups")
    op.drop_table("backups")
    op.drop_table("backup_artifacts")
    op.drop_index(
        "uq_background_jobs_unique_key",
        table_name="background_jobs",
        postgresql_where=sa.text("status IN ('queued', 'running') AND unique_key IS NOT NULL"),
        sqlite_where=sa.text("status IN ('queued', 'running') AND unique_key IS NOT NULL"),
    )
    op.drop_index("uq_background_jobs_slot", table_name="background_jobs")
    op.drop_index(
        "uq_background_jobs_lane",
        table_name="background_jobs",
        postgresql_where=sa.text("status = 'running' AND lane IS NOT NULL"),
        sqlite_where=sa.text("status = 'running' AND lane IS NOT NULL"),
    )
    op.drop_index(
        "ix_background_jobs_waiting",
        table_name="background_jobs",
        postgresql_where=sa.text("status = 'queued'"),
        sqlite_where=sa.text("status = 'queued'"),
    )
    op.drop_index(
        "ix_background_jobs_urgent_lanes",
        table_name="background_jobs",
        postgresql_where=sa.text("status = 'queued' AND lane IS NOT NULL AND priority > 0"),
        sqlite_where=sa.text("status = 'queued' AND lane IS NOT NULL AND priority > 0"),
    )
    op.drop_index(
        "ix_background_jobs_suspects",
        table_name="background_jobs",
        postgresql_where=sa.text("status = 'queued' AND lapses > 0"),
        sqlite_where=sa.text("status = 'queued' AND lapses > 0"),
    )
    op.drop_index(
        "ix_background_jobs_ready",
        table_name="background_jobs",
        postgresql_where=sa.text("status = 'queued' AND lane IS NULL"),
        sqlite_where=sa.text("status = 'queued' AND lane IS NULL"),
    )
    op.drop_index("ix_background_jobs_parent", table_name="background_jobs")
    op.drop_index("ix_background_jobs_owner", table_name="background_jobs")
    op.drop_index(
        "ix_background_jobs_leases",
        table_name="background_jobs",
        postgresql_where=sa.text("status = 'running'"),
        sqlite_where=sa.text("status = 'running'"),
    )
    op.drop_index(
        "ix_background_jobs_lanes",
        table_name="background_jobs",
        postgresql_where=sa.text("status = 'queued' AND lane IS NOT NULL"),
        sqlite_where=sa.text("status = 'queued' AND lane IS NOT NULL"),
    )
    op.drop_index(
        "ix_background_jobs_lane_ends",
        table_name="background_jobs",
        postgresql_where=sa.text("lane IS NOT NULL"),
        sqlite_where=sa.text("lane IS NOT NULL"),
    )
    op.drop_index(
        "ix_background_jobs_heads",
        table_name="background_jobs",
        postgresql_where=sa.text("status = 'queued' AND lane IS NOT NULL"),
        sqlite_where=sa.text("status = 'queued' AND lane IS NOT NULL"),
    )
    op.drop_index(
        "ix_background_jobs_ended",
        table_name="background_jobs",
        postgresql_where=sa.text("status IN ('completed', 'failed', 'cancelled')"),
        sqlite_where=sa.text("status IN ('completed', 'failed', 'cancelled')"),
    )
    op.drop_table("background_jobs")
