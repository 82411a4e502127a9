"""Notes with their embeddings, reminders and token usage. Needs pgvector on PostgreSQL.

Revision ID: 0005_notes
Revises: 0004_documents
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.core.columns import BigSerial, Id, UtcDateTime
from app.core.vectors import HalfVector

revision = "0005_notes"
down_revision = "0004_documents"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _notes()
    _reminders()
    _usage()


def downgrade() -> None:
    op.drop_table("token_reservations")
    if _dialect() == "postgresql":
        op.execute("DROP FUNCTION add_token_reservation()")
        op.execute("DROP FUNCTION move_token_reservation()")
    op.drop_table("workspace_daily_usage")
    op.drop_table("reminders")
    op.drop_table("note_refreshes")
    op.drop_table("note_embeddings")
    if _dialect() == "sqlite":
        op.execute("DROP TABLE note_words")
    op.drop_table("notes")


def _notes() -> None:
    op.create_table(
        "notes",
        sa.Column("seq", BigSerial, autoincrement=True, nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("owner_id", Id(), nullable=False),
        sa.Column("title", sa.String(length=500), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column(
            "words", sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql"), nullable=True
        ),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_notes")),
        sa.UniqueConstraint("id", name=op.f("uq_notes_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notes_owner_id_id", "notes", ["owner_id", "id"])
    if _dialect() == "sqlite":
        for statement in _TEXT_INDEX:
            op.execute(sa.DDL(statement))
    else:
        op.create_index("ix_notes_words", "notes", ["words"], postgresql_using="gin")
    op.create_table(
        "note_embeddings",
        sa.Column("note_id", Id(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column("vector", HalfVector(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("embedded_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("note_id", name=op.f("pk_note_embeddings")),
    )
    op.create_table(
        "note_refreshes",
        sa.Column("owner_id", Id(), nullable=False),
        sa.Column("full_job_id", Id(), nullable=True),
        sa.PrimaryKeyConstraint("owner_id", name=op.f("pk_note_refreshes")),
    )


def _reminders() -> None:
    op.create_table(
        "reminders",
        sa.Column("id", Id(), nullable=False),
        sa.Column("owner_id", Id(), nullable=False),
        sa.Column("note_id", Id(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("recipient", sa.String(length=254), nullable=True),
        sa.Column("scheduled_at", UtcDateTime(), nullable=False),
        sa.Column("status", sa.String(length=16), server_default="pending", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("job_id", Id(), nullable=True),
        sa.Column("dated_at", UtcDateTime(), nullable=True),
        sa.Column(
            "maybe_sent_twice", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("channel IN ('email', 'log')", name=op.f("ck_reminders_channel")),
        sa.CheckConstraint(
            "status IN ('pending', 'sending', 'sent', 'failed', 'cancelled')",
            name=op.f("ck_reminders_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminders")),
    )
    op.create_index("ix_reminders_owner_id_id", "reminders", ["owner_id", "id"])
    op.create_index(
        "ix_reminders_pending",
        "reminders",
        ["scheduled_at", "id"],
        postgresql_where=sa.text("status = 'pending'"),
        sqlite_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_reminders_sending",
        "reminders",
        ["job_id"],
        postgresql_where=sa.text("status = 'sending'"),
        sqlite_where=sa.text("status = 'sending'"),
    )


def _usage() -> None:
    op.create_table(
        "workspace_daily_usage",
        sa.Column("owner_id", Id(), nullable=False),
        sa.Column("workspace", sa.String(length=100), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("tokens_used", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tokens_reserved", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "tokens_reserved >= 0", name=op.f("ck_workspace_daily_usage_tokens_reserved")
        ),
        sa.CheckConstraint("tokens_used >= 0", name=op.f("ck_workspace_daily_usage_tokens_used")),
        sa.PrimaryKeyConstraint(
            "owner_id", "workspace", "day", name=op.f("pk_workspace_daily_usage")
        ),
    )
    op.create_table(
        "token_reservations",
        sa.Column("id", Id(), nullable=False),
        sa.Column("owner_id", Id(), nullable=False),
        sa.Column("workspace", sa.String(length=100), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("status", sa.String(length=16), server_default="held", nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("tokens_used", sa.BigInteger(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.Column("expired_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "status IN ('held', 'settled', 'expired')", name=op.f("ck_token_reservations_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_reservations")),
    )
    op.create_index(
        "ix_token_reservations_held",
        "token_reservations",
        ["created_at"],
        postgresql_where=sa.text("status = 'held'"),
        sqlite_where=sa.text("status = 'held'"),
    )
    for statement in _TRIGGERS[_dialect()]:
        op.execute(sa.DDL(statement))


def _dialect() -> str:
    return op.get_context().dialect.name


# As in app/notes/models.py and app/usage/models.py when this was written; a test compares them.
_TEXT_INDEX = (
    """CREATE VIRTUAL TABLE note_words USING fts5(title, content, content='',
      tokenize='porter unicode61 remove_diacritics 2')""",
    """CREATE TRIGGER note_words_added AFTER INSERT ON notes BEGIN
      INSERT INTO note_words (rowid, title, content)
      VALUES (new.seq, headway_fold(new.title), headway_fold(new.content)); END""",
    """CREATE TRIGGER note_words_removed AFTER DELETE ON notes BEGIN
      INSERT INTO note_words (note_words, rowid, title, content)
      VALUES ('delete', old.seq, headway_fold(old.title), headway_fold(old.content)); END""",
    """CREATE TRIGGER note_words_changed AFTER UPDATE OF title, content ON notes BEGIN
      INSERT INTO note_words (note_words, rowid, title, content)
      VALUES ('delete', old.seq, headway_fold(old.title), headway_fold(old.content));
      INSERT INTO note_words (rowid, title, content)
      VALUES (new.seq, headway_fold(new.title), headway_fold(new.content)); END""",
)
_ADD = """
INSERT INTO workspace_daily_usage (owner_id, workspace, day, tokens_used, tokens_reserved)
VALUES (new.owner_id, new.workspace, new.day, 0, new.tokens)
ON CONFLICT (owner_id, workspace, day) DO UPDATE
SET tokens_reserved = workspace_daily_usage.tokens_reserved + excluded.tokens_reserved;"""
_MOVE = """
UPDATE workspace_daily_usage SET
  tokens_reserved = tokens_reserved
    - CASE WHEN old.status = 'held' THEN old.tokens ELSE 0 END
    + CASE WHEN new.status = 'held' THEN new.tokens ELSE 0 END,
  tokens_used = tokens_used - coalesce(old.tokens_used, 0) + coalesce(new.tokens_used, 0)
WHERE owner_id = new.owner_id AND workspace = new.workspace AND day = new.day;"""
_TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER token_reservations_added AFTER INSERT ON token_reservations "
        f"BEGIN {_ADD} END",
        "CREATE TRIGGER token_reservations_moved AFTER UPDATE ON token_reservations "
        f"BEGIN {_MOVE} END",
    ),
    "postgresql": (
        "CREATE FUNCTION add_token_reservation() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {_ADD} RETURN NULL; END $$",
        "CREATE TRIGGER token_reservations_added AFTER INSERT ON token_reservations "
        "FOR EACH ROW EXECUTE FUNCTION add_token_reservation()",
        "CREATE FUNCTION move_token_reservation() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {_MOVE} RETURN NULL; END $$",
        "CREATE TRIGGER token_reservations_moved AFTER UPDATE ON token_reservations "
        "FOR EACH ROW EXECUTE FUNCTION move_token_reservation()",
    ),
}
