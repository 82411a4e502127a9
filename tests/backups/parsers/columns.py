"""Messages by the column, for tests that need no database to read them from."""

from datetime import UTC, datetime
from typing import Any

from app.backups.parsers.message_records import MessageColumns

MOMENT = datetime(2025, 1, 2, tzinfo=UTC)


def messages(many: int, **few: Any) -> MessageColumns:
    """So many messages that say nothing but what `few` tells."""
    ids = list(range(1, many + 1))
    nothing = MessageColumns.none()
    return nothing._replace(
        id=ids,
        guid=[f"G{one}" for one in ids],
        conversation_id=[None] * many,
        sent_at=[MOMENT] * many,
        is_from_me=[False] * many,
        sender=["+491"] * many,
        service=["SMS"] * many,
        kind=["text"] * many,
        text=[f"No. {one}" for one in ids],
        **few,
    )
