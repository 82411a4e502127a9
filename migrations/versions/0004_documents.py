"""Chunks of documents, models and vectors. Needs pgvector on PostgreSQL.

Revision ID: 0004_documents
Revises: 0003_backups
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.core.columns import BigSerial, Id, UtcDateTime
from app.core.folding import POSTGRESQL
from app.core.vectors import EXTENSION, HalfVector
from app.documents.models import TEXT_INDEXES

revision = "0004_documents"
down_revision = "0003_backups"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    if not sqlite:
        _require_pgvector()
        op.get_bind().exec_driver_sql(POSTGRESQL)
    op.create_table(
        "embedding_models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=200), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("normalised", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_embedding_models")),
        sa.UniqueConstraint("key", name=op.f("uq_embedding_models_key")),
    )
    op.create_table(
        "vector_spaces",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("live_model_id", sa.Integer(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["live_model_id"],
            ["embedding_models.id"],
            name=op.f("fk_vector_spaces_live_model_id"),
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_vector_spaces")),
    )
    op.create_table(
        "chunks",
        sa.Column("seq", BigSerial, autoincrement=True, nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("document_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("page_number", sa.Integer(), nullable=False),
        sa.Column("char_start", sa.Integer(), nullable=False),
        sa.Column("char_end", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column(
            "words", sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql"), nullable=True
        ),
        sa.Column(
            "pieces", sa.Text().with_variant(sa.ARRAY(sa.Integer()), "postgresql"), nullable=True
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_chunks")),
        sa.UniqueConstraint(
            "document_id",
            "generation",
            "position",
            name=op.f("uq_chunks_document_id_generation_position"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chunks_id", "chunks", ["id"], unique=False)
    op.create_table(
        "chunk_embeddings",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("chunk_id", Id(), nullable=False),
        sa.Column("document_id", Id(), nullable=False),
        sa.Column("chunker", sa.SmallInteger(), nullable=False),
        sa.Column("vector", HalfVector(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", "chunk_id", name=op.f("pk_chunk_embeddings")),
    )
    op.create_index(
        "ix_chunk_embeddings_document_id", "chunk_embeddings", ["document_id"], unique=False
    )
    op.add_column("documents", sa.Column("title", sa.Text(), nullable=True))
    op.add_column("documents", sa.Column("indexed_generation", sa.Integer(), nullable=True))
    op.add_column(
        "documents", sa.Column("chunk_count", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("documents", sa.Column("chunker", sa.SmallInteger(), nullable=True))
    if sqlite:
        for statement in TEXT_INDEXES:
            op.execute(statement)
    else:
        for column in ("words", "pieces"):
            op.create_index(f"ix_chunks_{column}", "chunks", [column], postgresql_using="gin")


def downgrade() -> None:
    for column in ("chunker", "chunk_count", "indexed_generation", "title"):
        op.drop_column("documents", column)
    for table in ("chunk_embeddings", "chunks", "vector_spaces", "embedding_models"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "sqlite":
        for name in ("chunk_words", "chunk_pieces"):
            op.execute(f"DROP TABLE {name}")


def _require_pgvector() -> None:
    found = op.get_bind().execute(
        sa.text("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
    )
    version = found.scalar()
    if version is None or tuple(map(int, version.split(".")[:2])) < (0, 8):
        has = "does not have it" if version is None else f"has {version}"
        raise SystemExit(
            f"Headway needs pgvector 0.8 or newer in PostgreSQL, and this server {has}."
            " Install it there (Debian and PGDG: postgresql-NN-pgvector; Docker: the image"
            " pgvector/pgvector), then run this again."
        )
    op.execute(EXTENSION)
