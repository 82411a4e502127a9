"""All six domains of a backup, the search index over them, and the secrets of jobs.

Revision ID: 0003_backups
Revises: 0002_releases
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.core.columns import BigSerial, Id, Json, UtcDateTime
from app.core.folding import POSTGRESQL

revision = "0003_backups"
down_revision = "0002_releases"
branch_labels = None
depends_on = None

_TEXT_INDEX_SQLITE = (
    """CREATE VIRTUAL TABLE artifact_search_fts USING fts5(title, text, person, terms,
      content='artifact_search_index', content_rowid='id',
      tokenize='porter unicode61 remove_diacritics 2')""",
    """CREATE TRIGGER artifact_search_added AFTER INSERT ON artifact_search_index BEGIN
      INSERT INTO artifact_search_fts (rowid, title, text, person, terms)
      VALUES (new.id, iif(new.kind LIKE '%message', NULL, new.title), new.text, new.person, new.terms); END""",
    """CREATE TRIGGER artifact_search_removed AFTER DELETE ON artifact_search_index BEGIN
      INSERT INTO artifact_search_fts (artifact_search_fts, rowid, title, text, person, terms)
      VALUES ('delete', old.id, iif(old.kind LIKE '%message', NULL, old.title), old.text, old.person, old.terms); END""",
)
_LISTS = (
    ("calendar_events", "list", ("starts_at",)),
    ("photo_assets", "list", ("taken_at",)),
    ("whatsapp_messages", "list", ("sent_at",)),
    ("whatsapp_messages", "chat", ("chat", "sent_at")),
)
_COLUMNS = (
    ("backups", "encrypted", sa.Boolean),
    ("message_conversations", "label", sa.Text),
    ("messages", "sender_name", sa.Text),
    ("messages", "words", sa.Text),
)
_TABLES = (
    "job_secrets",
    "whatsapp_messages",
    "whatsapp_chats",
    "whatsapp_attachments",
    "photo_assets",
    "contacts",
    "calendars",
    "calendar_events",
    "backup_notes",
    "artifact_search_index",
)


def upgrade() -> None:
    _create_tables()
    op.create_table(
        "job_secrets",
        sa.Column("job_id", Id(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_secrets")),
    )
    for table, name, columns in _LISTS:
        keys = ["backup_id", "generation", *columns, "number"]
        op.create_index(f"ix_{table}_{name}", table, keys)
    for table, column, kind in _COLUMNS:
        op.add_column(table, sa.Column(column, kind(), nullable=True))
    # What was read of Messages before has no names in it, and its rows look different: index again.
    op.execute("UPDATE backup_artifacts SET live_generation = NULL, fingerprint = NULL")
    if op.get_context().dialect.name == "sqlite":
        for statement in _TEXT_INDEX_SQLITE:
            op.execute(statement)
        return
    op.execute(POSTGRESQL)
    index = "ix_artifact_search_index_terms"
    op.create_index(index, "artifact_search_index", ["terms"], postgresql_using="gin")


def downgrade() -> None:
    sqlite = op.get_context().dialect.name == "sqlite"
    if sqlite:
        op.execute("DROP TRIGGER artifact_search_added")
        op.execute("DROP TRIGGER artifact_search_removed")
        op.execute("DROP TABLE artifact_search_fts")
    for table, column, _kind in reversed(_COLUMNS):
        op.drop_column(table, column)
    for table in _TABLES:
        op.drop_table(table)
    if not sqlite:
        op.execute("DROP TEXT SEARCH CONFIGURATION headway")
        op.execute("DROP TEXT SEARCH DICTIONARY headway_stem")
        op.execute("DROP FUNCTION headway_fold")


def _create_tables() -> None:
    op.create_table(
        "artifact_search_index",
        sa.Column("id", BigSerial, nullable=False),
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("domain", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("timestamp", UtcDateTime(), nullable=True),
        sa.Column(
            "terms", sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql"), nullable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact_search_index")),
        sa.UniqueConstraint(
            "backup_id",
            "domain",
            "generation",
            "number",
            name=op.f("uq_artifact_search_index_backup_id_domain_generation_number"),
        ),
    )
    op.create_table(
        "backup_notes",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("snippet", sa.Text(), nullable=True),
        sa.Column("folder", sa.Text(), nullable=True),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=True),
        sa.Column("modified_at", UtcDateTime(), nullable=True),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("trashed", sa.Boolean(), nullable=False),
        sa.Column("tombstone", sa.Boolean(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("has_checklist", sa.Boolean(), nullable=False),
        sa.Column("tags", Json, nullable=False),
        sa.Column("links", Json, nullable=False),
        sa.Column("attachments", Json, nullable=False),
        sa.Column("is_legacy", sa.Boolean(), nullable=False),
        sa.Column("words", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("backup_id", "generation", "number", name=op.f("pk_backup_notes")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calendar_events",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=True),
        sa.Column("uuid", sa.Text(), nullable=True),
        sa.Column("calendar", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("starts_at", UtcDateTime(), nullable=True),
        sa.Column("ends_at", UtcDateTime(), nullable=True),
        sa.Column("all_day", sa.Boolean(), nullable=False),
        sa.Column("floating", sa.Boolean(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("rrule", sa.Text(), nullable=True),
        sa.Column("exdates", Json, nullable=False),
        sa.Column("recurrence_id", UtcDateTime(), nullable=True),
        sa.Column("recurs_from", sa.BigInteger(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("conference_url", sa.Text(), nullable=True),
        sa.Column("organizer", Json, nullable=True),
        sa.Column("attendees", Json, nullable=False),
        sa.Column("alarms", Json, nullable=False),
        sa.Column("is_birthday", sa.Boolean(), nullable=False),
        sa.Column("birth_year_known", sa.Boolean(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("availability", sa.BigInteger(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=True),
        sa.Column("modified_at", UtcDateTime(), nullable=True),
        sa.Column("words", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "backup_id", "generation", "number", name=op.f("pk_calendar_events")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calendars",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("color", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("source_type", sa.String(length=32), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("backup_id", "generation", "number", name=op.f("pk_calendars")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "contacts",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("guid", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("middle_name", sa.Text(), nullable=True),
        sa.Column("prefix", sa.Text(), nullable=True),
        sa.Column("suffix", sa.Text(), nullable=True),
        sa.Column("nickname", sa.Text(), nullable=True),
        sa.Column("organization", sa.Text(), nullable=True),
        sa.Column("department", sa.Text(), nullable=True),
        sa.Column("job_title", sa.Text(), nullable=True),
        sa.Column("is_company", sa.Boolean(), nullable=False),
        sa.Column("birthday", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("phones", Json, nullable=False),
        sa.Column("emails", Json, nullable=False),
        sa.Column("addresses", Json, nullable=False),
        sa.Column("urls", Json, nullable=False),
        sa.Column("social", Json, nullable=False),
        sa.Column("related", Json, nullable=False),
        sa.Column("dates", Json, nullable=False),
        sa.Column("groups", Json, nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("linked_ids", Json, nullable=False),
        sa.Column("has_image", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=True),
        sa.Column("modified_at", UtcDateTime(), nullable=True),
        sa.Column("words", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("backup_id", "generation", "number", name=op.f("pk_contacts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "photo_assets",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=True),
        sa.Column("directory", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subtype", sa.String(length=32), nullable=False),
        sa.Column("raw_subtype", sa.BigInteger(), nullable=True),
        sa.Column("taken_at", UtcDateTime(), nullable=True),
        sa.Column("time_zone_offset_seconds", sa.BigInteger(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("added_at", UtcDateTime(), nullable=True),
        sa.Column("modified_at", UtcDateTime(), nullable=True),
        sa.Column("width", sa.BigInteger(), nullable=True),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("orientation", sa.BigInteger(), nullable=True),
        sa.Column("duration_seconds", sa.Double(), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("favorite", sa.Boolean(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("trashed", sa.Boolean(), nullable=False),
        sa.Column("trashed_at", UtcDateTime(), nullable=True),
        sa.Column("in_library", sa.Boolean(), nullable=False),
        sa.Column("edited", sa.Boolean(), nullable=False),
        sa.Column("burst_id", sa.Text(), nullable=True),
        sa.Column("albums", Json, nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("caption", sa.Text(), nullable=True),
        sa.Column("keywords", Json, nullable=False),
        sa.Column("people", Json, nullable=False),
        sa.Column("original_filename", sa.Text(), nullable=True),
        sa.Column("uti", sa.Text(), nullable=True),
        sa.Column("camera", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("file_id", sa.String(length=40), nullable=True),
        sa.Column("file_present", sa.Boolean(), nullable=True),
        sa.Column("live_video_file_id", sa.String(length=40), nullable=True),
        sa.Column("file_size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("words", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("backup_id", "generation", "number", name=op.f("pk_photo_assets")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "whatsapp_attachments",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("message", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=True),
        sa.Column("mime_type", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("duration_seconds", sa.BigInteger(), nullable=True),
        sa.Column("caption", sa.Text(), nullable=True),
        sa.Column("file_id", sa.String(length=40), nullable=True),
        sa.Column("file_present", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint(
            "backup_id", "generation", "message", "position", name=op.f("pk_whatsapp_attachments")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "whatsapp_chats",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("jid", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("participants", Json, nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("unread_count", sa.BigInteger(), nullable=False),
        sa.Column("message_count", sa.BigInteger(), nullable=False),
        sa.Column("last_message_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=True),
        sa.Column("creator_jid", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "backup_id", "generation", "number", name=op.f("pk_whatsapp_chats")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "whatsapp_messages",
        sa.Column("backup_id", Id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("stanza_id", sa.Text(), nullable=False),
        sa.Column("chat", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("is_from_me", sa.Boolean(), nullable=False),
        sa.Column("sender_jid", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("raw_type", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("reply_to_stanza_id", sa.Text(), nullable=True),
        sa.Column("quoted_text", sa.Text(), nullable=True),
        sa.Column("starred", sa.Boolean(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("forwards", sa.BigInteger(), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("event", Json, nullable=True),
        sa.Column("contact", Json, nullable=True),
        sa.Column("reactions", Json, nullable=True),
        sa.Column("sender_name", sa.Text(), nullable=True),
        sa.Column("words", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "backup_id", "generation", "number", name=op.f("pk_whatsapp_messages")
        ),
        sqlite_with_rowid=False,
    )
