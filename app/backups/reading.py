"""Reading one database of a backup, as the limited child process does it.

Everything yielded is tuples, lists, dicts, str, int, bool, None and aware datetimes, so that
MessagePack takes it as it is. Whatever may go wrong with the source itself is a `SourceError`
with a `code` and a sentence for people.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.backups.parsers.artifact import BATCH
from app.backups.parsers.message_records import MessageColumns
from app.backups.parsers.messages import Messages
from app.backups.parsers.source import Source


def read_messages(request: dict[str, Any]) -> Iterator[Any]:
    """Read a Messages database.

    Args:
        request: "database", a path; and optionally "wal", the path of its write-ahead log where
            that is not beside it; "folder", the backup in which to look for attachments; "batch",
            rows read at once; "after_rowid", where an earlier run has got to.

    Yields:
        ("head", {"total", "conversations"}): `total` messages in the whole database, and rows of
            `Conversation`. `total` is what all "records" frames of a run from 0 add up to, plus
            losses.
        ("records", columns, last_rowid, lost): `MessageColumns`. `last_rowid` is the next run's
            "after_rowid"; `lost` counts what damage has hidden in this run so far. There may be
            no message in them, where all rows of a batch were reactions.
        ("end", {"warnings", "counts"}): warnings as {"code", "detail"}; counts of this run, see
            `Messages.counts`, and of the whole database "reaction_rows", "orphan_reactions" (their
            target is gone), "in_several_conversations".

    Raises:
        SourceError: the database cannot be read; no frame follows.
    """
    folder = request.get("folder")
    wal = request.get("wal")
    with Source(Path(request["database"]), Path(wal) if wal else None) as source:
        messages = Messages(source, Path(folder) if folder else None)
        yield "head", {"total": messages.total, "conversations": messages.conversations}
        last, batch = int(request.get("after_rowid") or 0), int(request.get("batch") or BATCH)
        told = 0
        for columns, rowid in messages.batches(after=last, batch=batch):
            last, told = rowid, messages.lost
            yield "records", columns, last, told
        if messages.lost > told:  # behind the last message
            yield "records", MessageColumns.none(), last, messages.lost
        yield "end", {"warnings": _warnings(source, messages), "counts": _counts(messages)}


def _counts(messages: Messages) -> dict[str, int]:
    return {
        **messages.counts,
        "hidden_attachments": messages.attachments.hidden,
        "reaction_rows": messages.reactions.rows,
        "orphan_reactions": messages.reactions.orphans,
        "in_several_conversations": messages.chats.doubles,
    }


def _warnings(source: Source, messages: Messages) -> list[dict[str, str]]:
    found = []
    if messages.lost:
        given = messages.counts["messages"]
        detail = f"The database is damaged: salvaged {given} of {given + messages.lost} messages."
        found.append({"code": "damaged", "detail": detail})
    hurt = sorted(table for table in source.lost if table != "message")
    if messages.attachments.lost and "attachment" not in hurt:
        hurt.append("attachment")
    if hurt:
        detail = (
            f"Damage hides rows of {', '.join(hurt)}: what belongs to some messages is missing."
        )
        found.append({"code": "damaged", "detail": detail})
    return found
