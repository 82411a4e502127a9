"""Notes and reminders as they go over the wire."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from app.core.clock import wire
from app.notes.models import Channel, Note, Reminder
from app.notes.reminders import is_address

_EXAMPLE_ID = "019aa7c2-5c1f-7b52-9d3e-3f8f6f0f2a11"
_WITHOUT_NUL = r"^[^\x00]*$"


def _text_only(value: Any) -> Any:
    if not isinstance(value, str) or "-" not in value:  # not the seconds that a number would be
        raise ValueError("write it as RFC 3339 has it, with a zone")
    return value


def _in_utc(moment: datetime) -> datetime:
    """In UTC, where both databases can keep it."""
    if not 1970 <= moment.year < 9999:
        raise ValueError("the year must be between 1970 and 9998")
    return moment.astimezone(UTC)


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError("not one plain address, such as ada@example.com")
    return text


_Moment = Annotated[AwareDatetime, BeforeValidator(_text_only), AfterValidator(_in_utc)]


class NewNote(BaseModel):
    """A note's text."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"title": "Boat", "content": "The hull needs paint."}},
    )

    title: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_WITHOUT_NUL)]
    content: Annotated[str, StringConstraints(max_length=200_000, pattern=_WITHOUT_NUL)]


class NoteView(BaseModel):
    """One note."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": _EXAMPLE_ID,
                "title": "Boat",
                "content": "The hull needs paint.",
                "created_at": "2026-11-21T09:30:00.000000Z",
                "updated_at": "2026-11-21T09:30:00.000000Z",
            }
        }
    )

    id: UUID
    title: str
    content: str
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, row: Note) -> Self:
        """The row as the API reports it."""
        return cls(
            id=row.id,
            title=row.title,
            content=row.content,
            created_at=wire(row.created_at),
            updated_at=wire(row.updated_at),
        )


class NoteList(BaseModel):
    """Part of the caller's notes, newest first."""

    items: list[NoteView]
    total: int


class Regenerate(BaseModel):
    """Which notes to embed again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"only_stale": True}})

    only_stale: Annotated[bool, Field(strict=True)] = False


class NewReminder(BaseModel):
    """What to say, when, and to whom."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "message": "Paint the hull.",
                "scheduled_at": "2026-12-01T09:00:00+01:00",
                "channel": "email",
                "recipient": "ada@example.com",
            }
        },
    )

    message: Annotated[
        str, StringConstraints(min_length=1, max_length=10_000, pattern=_WITHOUT_NUL)
    ]
    scheduled_at: _Moment
    channel: Channel
    recipient: Annotated[str, AfterValidator(_address)] | None = None
    note_id: UUID | None = None

    @model_validator(mode="after")
    def _somebody_to_write_to(self) -> Self:
        if self.channel is Channel.EMAIL and self.recipient is None:
            raise ValueError("an email needs a recipient")
        return self


class ReminderView(BaseModel):
    """One reminder. `maybe_sent_twice`: its sender died at the one moment that nobody can see."""

    id: UUID
    message: str
    scheduled_at: str
    channel: str
    recipient: str | None
    note_id: UUID | None
    status: str
    tries: int
    maybe_sent_twice: bool
    error_message: str | None
    sent_at: str | None
    created_at: str

    @classmethod
    def of(cls, row: Reminder) -> Self:
        """The row as the API reports it."""
        return cls(
            id=row.id,
            message=row.message,
            scheduled_at=wire(row.scheduled_at),
            channel=row.channel,
            recipient=row.recipient,
            note_id=row.note_id,
            status=row.status,
            tries=row.tries,
            maybe_sent_twice=row.maybe_sent_twice,
            error_message=row.error_message,
            sent_at=None if row.sent_at is None else wire(row.sent_at),
            created_at=wire(row.created_at),
        )


class ReminderList(BaseModel):
    """Part of the caller's reminders, newest first."""

    items: list[ReminderView]
    total: int
