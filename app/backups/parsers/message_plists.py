"""The two property lists inside a message row: edits and unsent parts, and link previews.

Reads `message.message_summary_info` (binary plist: `otr` the parts, `ec` their wordings, `rp` the
unsent ones) and `message.payload_data` of link balloons (a keyed archive of LPLinkMetadata).
Source: docs/formats.md, Messages; the real plists of
data/ios/messages/edited_message.
"""

import plistlib
from typing import Any, NamedTuple

from app.backups.parsers.apple_time import from_apple
from app.backups.parsers.message_records import Edit, LinkPreview
from app.backups.parsers.typedstream import text_of

_MAX_BYTES = 4 * 2**20  # real ones have kilobytes


class Summary(NamedTuple):
    """What a message_summary_info tells."""

    edits: list[Edit]  # every wording, oldest first
    current: str | None  # the latest wording of each part, joined
    unsent: bool  # every part was taken back


def read_summary(blob: object) -> Summary:
    """Read a message_summary_info; one that is damaged or no plist tells nothing. Never raises."""
    info = _plist(blob)
    versions: list[tuple[Any, Edit]] = []
    current: list[str] = []
    for _, wordings in sorted(_mapping(info.get("ec")).items(), key=lambda part: part[0].zfill(9)):
        texts = [_edit(wording) for wording in wordings] if isinstance(wordings, list) else []
        edits = [edit for edit in texts if edit is not None]
        versions += [(edit.at is not None and edit.at.timestamp(), edit) for edit in edits]
        current += [edit.text for edit in edits[-1:]]
    versions.sort(key=lambda version: version[0])
    gone = info.get("rp")
    unsent = (
        {str(part) for part in gone if type(part) in (int, str)}
        if isinstance(gone, list)
        else set()
    )
    parts = set(_mapping(info.get("otr")))
    return Summary(
        [edit for _, edit in versions],
        "".join(current) or None,
        bool(unsent) and parts <= unsent,
    )


def read_link(blob: object) -> LinkPreview | None:
    """Read the payload of a link balloon, or None where it tells nothing. Never raises."""
    objects = _plist(blob).get("$objects")
    if not isinstance(objects, list):
        return None
    for candidate in objects:
        if isinstance(candidate, dict) and ("originalURL" in candidate or "URL" in candidate):
            url = _text(objects, candidate.get("originalURL") or candidate.get("URL"))
            title, summary = (_text(objects, candidate.get(key)) for key in ("title", "summary"))
            if url or title or summary:
                return LinkPreview(url, title, summary)
    return None


def _edit(wording: object) -> Edit | None:
    if not isinstance(wording, dict) or not isinstance(wording.get("t"), bytes):
        return None
    text = text_of(wording["t"])
    return None if text is None else Edit(text, from_apple(wording.get("d")))


def _text(objects: list[Any], reference: object) -> str | None:
    """The string behind an archive reference; of an NSURL its relative part."""
    for _ in range(3):  # reference -> NSURL -> NS.relative -> string
        if isinstance(reference, plistlib.UID) and reference.data < len(objects):
            reference = objects[reference.data]
        if isinstance(reference, dict):
            reference = reference.get("NS.relative")
    text = reference.replace("\0", "") if isinstance(reference, str) else None
    return text if text and text != "$null" else None


def _mapping(value: object) -> dict[str, Any]:
    return (
        {key: one for key, one in value.items() if isinstance(key, str)}
        if isinstance(value, dict)
        else {}
    )


def _plist(blob: object) -> dict[str, Any]:
    if not isinstance(blob, bytes) or len(blob) > _MAX_BYTES:
        return {}
    try:
        return _mapping(plistlib.loads(blob, fmt=plistlib.FMT_BINARY))
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return {}
