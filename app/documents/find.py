"""What the two databases' ways of finding chunks share."""

from typing import NamedTuple
from uuid import UUID

from app.core.search import Asked

MATCHES = 1_000  # chunks that one way of searching gives at most


class Match(NamedTuple):
    """A chunk that was found, best first; scores are comparable within one answer only."""

    seq: int
    document_id: UUID
    page_number: int
    score: float


# What every statement says of the chunk `c` and its document `d`.
LIVE = "d.id = c.document_id AND d.indexed_generation = c.generation"


def narrowed(asked: Asked) -> str:
    """Further conditions on the document `d`, over `owner` and `document`."""
    conditions = [
        condition
        for condition, wanted in (
            (" AND d.owner_id = :owner", asked.owner_id),
            (" AND d.id = :document", asked.document_id),
        )
        if wanted is not None
    ]
    return "".join(conditions)


def values(asked: Asked, *, as_text: bool) -> dict[str, object]:
    """The values of those conditions; SQLite keeps ids as text."""
    given = {"owner": asked.owner_id, "document": asked.document_id}
    return {
        name: str(value) if as_text else value for name, value in given.items() if value is not None
    }
