"""attributedBody: the text of a message and what is attached to it, from NSArchiver's typedstream.

Since iOS 16 `message.text` is often NULL and this blob is the only place of the text. `text_of`
takes the text out in a microsecond; `read` unarchives the whole blob for the attributes.

Source: docs/formats.md, Messages; the format itself is in `app.backups.parsers.unarchiver`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.backups.parsers.unarchiver import (
    I16,
    I32,
    TypedStreamError,
    Unarchived,
    plain,
    unarchive,
)

PART = "__kIMMessagePartAttributeName"
ATTACHMENT = "__kIMFileTransferGUIDAttributeName"
MENTION = "__kIMMentionConfirmedMention"
LINK = "__kIMLinkAttributeName"
TRANSCRIPTION = "IMAudioTranscription"

_TEXT_FOLLOWS = b"\x84\x01+"  # new type string "+": the first one of a message is its text


class Run(NamedTuple):
    """A piece of text whose attributes are the same throughout."""

    text: str
    attributes: Mapping[str, Any]


class AttributedText(NamedTuple):
    """A message body: the text, and the same text cut into runs."""

    text: str
    runs: tuple[Run, ...]

    def attachments(self) -> list[tuple[int, str]]:
        """(part number, attachment guid) in the order in which the parts are shown."""
        return [
            (_part(run), run.attributes[ATTACHMENT])
            for run in self.runs
            if isinstance(run.attributes.get(ATTACHMENT), str)
        ]

    def mentions(self) -> list[tuple[str, str]]:
        """(shown text, handle) of the people mentioned, in order."""
        return self._strings(MENTION)

    def links(self) -> list[tuple[str, str]]:
        """(shown text, address) of the links, in order."""
        return self._strings(LINK)

    def transcription(self) -> str | None:
        """What was said in an audio message, where the phone wrote it down."""
        return next((said for _, said in self._strings(TRANSCRIPTION)), None)

    def _strings(self, key: str) -> list[tuple[str, str]]:
        return [
            (run.text, run.attributes[key])
            for run in self.runs
            if isinstance(run.attributes.get(key), str)
        ]


def text_of(body: bytes) -> str | None:
    """The text of an attributedBody, without unarchiving it.

    A declared length that overruns the blob is mended by cutting at the end of the object.

    Returns:
        The text with U+FFFC where attachments stand and without NUL, or None where the blob
        holds no text. Never raises.
    """
    at = body.find(_TEXT_FOLLOWS) + 3
    if at < 3 or at >= len(body):
        return None
    length = body[at]
    at += 1
    if length == I16:
        length = int.from_bytes(body[at : at + 2], "little")
        at += 2
    elif length == I32:
        length = int.from_bytes(body[at : at + 4], "little")
        at += 4
    elif length >= 0x80:
        length = len(body)
    if at + length <= len(body):
        return body[at : at + length].decode("utf-8", "replace").replace("\0", "")
    rest = body[at:].partition(b"\x86\x84")[0]
    return rest.decode("utf-8", "replace").replace("\0", "")


def read(body: bytes) -> AttributedText:
    """Unarchive an attributedBody: its text and the attributes of each run.

    Attribute values are str, int, float, bytes, dict or None.

    Raises:
        TypedStreamError: the bytes are damaged or not an attributed string. Nothing else is
            raised, and the time is bounded whatever the bytes.
    """
    root = unarchive(body)
    try:
        return _attributed_text(root)
    except (IndexError, TypeError, ValueError) as error:
        raise TypedStreamError(f"not an attributed string: {error}") from error


def _part(run: Run) -> int:
    number = run.attributes.get(PART)
    return number if type(number) is int else 0


def _attributed_text(root: Unarchived) -> AttributedText:
    text = plain(root.values[0])
    if not isinstance(text, str):
        raise TypedStreamError("there is no text")
    units = text.encode("utf-16-le", "surrogatepass")
    known: dict[int, Mapping[str, Any]] = {}
    runs, start = [], 0
    values = iter(root.values[1:])
    pending: Any = next(values, None)
    while isinstance(pending, int):
        index, length = pending, next(values, None)
        pending = next(values, None)
        if isinstance(pending, Unarchived):
            attributes = plain(pending)
            known[index] = attributes if isinstance(attributes, dict) else {}
            pending = next(values, None)
        if not isinstance(length, int) or length < 0:
            raise TypedStreamError("a run without a length")
        piece = units[start : start + 2 * length].decode("utf-16-le", "replace")
        start += 2 * length
        runs.append(Run(piece, known.get(index, {})))
    return AttributedText(text, tuple(runs))
