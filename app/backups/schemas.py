"""Backups and what is in them, on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from app.backups.manifest import ALIASES
from app.backups.models import Backup
from app.core.clock import wire

COUNTED = (
    "photos", "conversations", "messages", "message_attachments", "whatsapp_chats",
    "whatsapp_messages", "whatsapp_attachments", "notes", "calendars", "events", "contacts",
)  # fmt: skip

LogicalName = Literal[
    "photos", "messages", "chat.db", "sms.db", "whatsapp", "notes", "calendar", "contacts"
]
_Path = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


_SECRECY = (
    "of an encrypted backup; sealed for the job alone, and gone when the job ends. "
    "Without it, indexing an encrypted backup ends with `encrypted`"
)
Password = Annotated[SecretStr | None, Field(description=_SECRECY, min_length=1, max_length=1024)]


class NewBackup(BaseModel):
    """A backup to index: its folder, or its databases one by one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"path": "/srv/backups/ada/00008110-000A1D2E3F4A801E", "name": "My phone"}
        },
    )

    name: _Name | None = None
    path: _Path | None = None
    artifacts: Annotated[dict[LogicalName, _Path], Field(min_length=1)] | None = None
    password: Password = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.path is None) == (self.artifacts is None):
            raise ValueError("give either path or artifacts")
        names = [ALIASES.get(name, name) for name in self.artifacts or ()]
        if len(set(names)) != len(names):
            raise ValueError("messages, chat.db and sms.db are the same database: give one")
        return self


class IndexAgain(BaseModel):
    """What to index a backup with once more."""

    model_config = ConfigDict(extra="forbid")

    password: Password = None


class Warned(BaseModel):
    """Something people should know though the backup was read."""

    code: str
    artifact: str | None
    detail: str


class BackupView(BaseModel):
    """A backup as its owner sees it."""

    id: UUID
    name: str
    status: str
    job_id: UUID | None
    device: str | None
    ios_version: str | None
    udid: str | None
    backed_up_at: str | None
    created_at: str
    indexed_at: str | None
    counts: dict[str, int]
    warnings: list[Warned]


class Backups(BaseModel):
    """A page of backups."""

    items: list[BackupView]
    total: int


class Items(BaseModel):
    """A page of what is in a backup."""

    items: list[dict[str, Any]]
    total: int


def backup_view(backup: Backup, counts: Mapping[str, int]) -> dict[str, Any]:
    """A backup with what is live of it."""
    return {
        "id": backup.id,
        "name": backup.name,
        "status": backup.status,
        "job_id": backup.job_id,
        "device": backup.device,
        "ios_version": backup.ios_version,
        "udid": backup.udid,
        "backed_up_at": _time(backup.backed_up_at),
        "created_at": _time(backup.created_at),
        "indexed_at": _time(backup.indexed_at),
        "counts": {name: counts.get(name, 0) for name in COUNTED},
        "warnings": backup.warnings,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else wire(moment)
