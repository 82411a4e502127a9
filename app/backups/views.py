"""What is in a backup, item by item, on the wire.

What a source does not say is null, never absent. Ids are made of the items' numbers (`item_ids`).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping

from app.backups.item_ids import ItemIds
from app.core.clock import wire

Row = RowMapping
View = dict[str, Any]


class Ids:
    """The ids of all kinds of items of one backup."""

    def __init__(self, backup_id: UUID) -> None:
        self._backup_id = backup_id
        self._of: dict[str, ItemIds] = {}

    def __getitem__(self, kind: str) -> ItemIds:
        if kind not in self._of:
            self._of[kind] = ItemIds(self._backup_id, kind)
        return self._of[kind]

    def of(self, kind: str, number: int | None) -> UUID | None:
        """The id of an item, None for none."""
        return None if number is None else self[kind].of(number)


def conversation(row: Row, ids: Ids, _files: Sequence[Row]) -> View:
    """A chat of the Messages app."""
    return {
        "id": ids.of("conversation", row["number"]),
        **_copied(row, "guid service is_group title"),
        "participants": _zipped(row["participants"], "handle name"),
        "message_count": row["message_count"],
        "last_message_at": _time(row["last_message_at"]),
    }


def message(row: Row, ids: Ids, files: Sequence[Row]) -> View:
    """A message with its attachments."""
    return {
        "id": ids.of("message", row["number"]),
        "guid": row["guid"],
        "conversation_id": ids.of("conversation", row["conversation"]),
        "sent_at": _time(row["sent_at"]),
        **_copied(row, "is_from_me sender sender_name service kind text subject reply_to_guid"),
        "edited_at": _time(row["edited_at"]),
        "edits": row["edits"] or [],
        "unsent": row["unsent"],
        "deleted_at": _time(row["deleted_at"]),
        **_copied(row, "effect error_code"),
        "reactions": row["reactions"] or [],
        "attachments": [
            _copied(file, "filename mime_type size_bytes file_id file_present is_sticker")
            for file in files
        ],
        "event": _named(row["event"], "what handle title"),
        "link": _named(row["link"], "url title summary"),
    }


def whatsapp_chat(row: Row, ids: Ids, _files: Sequence[Row]) -> View:
    """A chat of WhatsApp."""
    return {
        "id": ids.of("whatsapp_chat", row["number"]),
        **_copied(row, "jid kind title"),
        "participants": _zipped(row["participants"], "jid name is_admin is_active"),
        **_copied(row, "archived hidden removed unread_count message_count"),
        "last_message_at": _time(row["last_message_at"]),
        "created_at": _time(row["created_at"]),
        "creator_jid": row["creator_jid"],
    }


def whatsapp_message(row: Row, ids: Ids, files: Sequence[Row]) -> View:
    """A message of WhatsApp with its attachments."""
    file_fields = "filename mime_type size_bytes duration_seconds caption file_id file_present"
    return {
        "id": ids.of("whatsapp_message", row["number"]),
        "stanza_id": row["stanza_id"],
        "chat_id": ids.of("whatsapp_chat", row["chat"]),
        "sent_at": _time(row["sent_at"]),
        **_copied(row, "is_from_me sender_jid sender_name kind raw_type text reply_to_stanza_id"),
        **_copied(row, "quoted_text starred status forwards latitude longitude place"),
        "reactions": row["reactions"] or [],
        "attachments": [_copied(file, file_fields) for file in files],
        "event": _named(row["event"], "code jid title"),
        "contact": _named(row["contact"], "name vcard"),
    }


def note(row: Row, ids: Ids, _files: Sequence[Row]) -> View:
    """A note, with the cells of its tables in its text."""
    file_fields = "identifier filename uti size_bytes file_id file_present title text"
    return {
        "id": ids.of("backup_note", row["number"]),
        **_copied(row, "identifier title text snippet folder account"),
        "created_at": _time(row["created_at"]),
        "modified_at": _time(row["modified_at"]),
        **_copied(row, "pinned locked trashed tombstone shared has_checklist tags links"),
        "attachments": _zipped(row["attachments"], file_fields),
        "is_legacy": row["is_legacy"],
    }


def calendar(row: Row, ids: Ids, _files: Sequence[Row]) -> View:
    """A calendar."""
    fields = "uuid title color source source_type hidden shared"
    return {"id": ids.of("calendar", row["number"]), **_copied(row, fields)}


def event(row: Row, ids: Ids, _files: Sequence[Row]) -> View:
    """An event or reminder. The times of a floating one have no offset: they are wall clock."""
    time: Callable[[datetime | None], str | None] = _floating if row["floating"] else _time
    cut = _without_zone if row["floating"] else _same
    return {
        "id": ids.of("event", row["number"]),
        **_copied(row, "uid uuid"),
        "calendar_id": ids.of("calendar", row["calendar"]),
        **_copied(row, "kind title description location latitude longitude"),
        "starts_at": time(row["starts_at"]),
        "ends_at": time(row["ends_at"]),
        **_copied(row, "all_day floating time_zone status rrule"),
        "exdates": [cut(one) for one in row["exdates"]],
        "recurrence_id": time(row["recurrence_id"]),
        "recurs_from_id": ids.of("event", row["recurs_from"]),
        **_copied(row, "url conference_url"),
        "organizer": _named(row["organizer"], "name email"),
        "attendees": _zipped(row["attendees"], "name email status"),
        "alarms": [{"offset_seconds": offset, "at": cut(at)} for offset, at in row["alarms"]],
        **_copied(row, "is_birthday birth_year_known hidden availability"),
        "created_at": _time(row["created_at"]),
        "modified_at": _time(row["modified_at"]),
    }


def contact(row: Row, ids: Ids, _files: Sequence[Row]) -> View:
    """A card of the address book; `linked_ids` are the other cards of the same person."""
    names = "guid display_name first_name last_name middle_name prefix suffix nickname"
    labelled = {name: _zipped(row[name], "label value") for name in _LABELLED}
    return {
        "id": ids.of("contact", row["number"]),
        **_copied(row, f"{names} organization department job_title is_company birthday note"),
        **labelled,
        "addresses": _zipped(row["addresses"], "label street city state zip country country_code"),
        "social": _zipped(row["social"], "kind label service username url"),
        **_copied(row, "groups source"),
        "linked_ids": [ids.of("contact", number) for number in row["linked_ids"]],
        "has_image": row["has_image"],
        "created_at": _time(row["created_at"]),
        "modified_at": _time(row["modified_at"]),
    }


def photo(row: Row, ids: Ids, _files: Sequence[Row]) -> View:
    """A photo or video."""
    facts = "time_zone width height orientation duration_seconds latitude longitude place"
    flags = "favorite hidden trashed in_library edited burst_id"
    files = "file_id file_present live_video_file_id file_size_bytes"
    return {
        "id": ids.of("photo", row["number"]),
        **_copied(row, "uuid filename directory kind subtype raw_subtype"),
        "taken_at": _time(row["taken_at"]),
        "time_zone_offset_seconds": row["time_zone_offset_seconds"],
        "added_at": _time(row["added_at"]),
        "modified_at": _time(row["modified_at"]),
        **_copied(row, f"{facts} {flags}"),
        "trashed_at": _time(row["trashed_at"]),
        **_copied(row, "albums title caption keywords people original_filename uti camera origin"),
        **_copied(row, files),
    }


_LABELLED = ("phones", "emails", "urls", "related", "dates")


def _copied(row: Row, names: str) -> View:
    return {name: row[name] for name in names.split()}


def _zipped(rows: Iterable[Sequence[Any]], names: str) -> list[View]:
    """Arrays as maps with these names."""
    return [dict(zip(names.split(), one, strict=True)) for one in rows]


def _named(values: Sequence[Any] | None, names: str) -> View | None:
    return None if values is None else dict(zip(names.split(), values, strict=True))


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else wire(moment)


def _floating(moment: datetime | None) -> str | None:
    return _without_zone(_time(moment))


def _without_zone(written: str | None) -> str | None:
    return None if written is None else written.removesuffix("Z")


def _same(written: str | None) -> str | None:
    return written
