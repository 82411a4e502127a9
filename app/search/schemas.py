"""What a search answers."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from app.core.clock import wire
from app.core.search import Hit, Query
from app.core.snippets import snippet

Kind = Literal[
    "message", "whatsapp_message", "backup_note", "photo", "event", "contact", "document", "note"
]
Mode = Literal["hybrid", "keyword", "semantic"]

_EXAMPLE_ID = "019aa7c2-5c1f-7b52-9d3e-3f8f6f0f2a11"


class Result(BaseModel):
    """One thing that was found."""

    kind: Kind
    id: UUID
    title: str | None
    snippet: str
    highlights: list[tuple[int, int]]
    score: float
    person: str | None
    timestamp: str | None
    backup_id: UUID | None
    document_id: UUID | None
    page_number: int | None


class Results(BaseModel):
    """A page of what was found, the best first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "results": [
                    {
                        "kind": "message",
                        "id": _EXAMPLE_ID,
                        "title": "Ada Lovelace",
                        "snippet": "see you at the station, dinner at seven",
                        "highlights": [[15, 22], [24, 30]],
                        "score": 7.214,
                        "person": "Ada Lovelace",
                        "timestamp": "2025-09-20T10:00:00.000000Z",
                        "backup_id": _EXAMPLE_ID,
                        "document_id": None,
                        "page_number": None,
                    }
                ],
                "total": 1,
                "mode": "keyword",
            }
        }
    )

    results: list[Result]
    total: int
    mode: Mode


def result(hit: Hit, query: Query) -> dict[str, Any]:
    """A hit on the wire. `highlights` are [start, end) in characters of `snippet`."""
    shown = snippet(hit.text, query)
    return {
        "kind": hit.kind,
        "id": hit.id,
        "title": hit.title,
        "snippet": shown.text,
        "highlights": shown.highlights,
        "score": round(hit.score, 6),
        "person": hit.person,
        "timestamp": None if hit.timestamp is None else wire(hit.timestamp),
        "backup_id": hit.backup_id,
        "document_id": hit.document_id,
        "page_number": hit.page_number,
    }
