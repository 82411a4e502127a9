"""Uploads: one PDF in a multipart form, streamed from the socket into the blob store.

Nothing is spooled twice and no more than one chunk is in memory. Whatever goes wrong on the way
(too large, not a PDF, a client that goes away) leaves no file behind.
"""

import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from app.blobs import HEAD_BYTES, Blob, Blobs
from app.core.errors import Invalid, TooLarge, Unsupported

FIELD = "file"
FORM_BYTES = 64 * 1024  # of everything in the form that is not the file
_MAGIC = b"%PDF-"
_LONGEST_NAME = 255  # characters
_NAMELESS = "document.pdf"


@dataclass(frozen=True, slots=True)
class Upload:
    """A stored file, and what makes two uploads the same request."""

    filename: str
    blob: Blob
    fingerprint: list[Any]  # field names in order; for the file, its name and sha256 besides


async def receive(request: Request, blobs: Blobs, limit_bytes: int) -> Upload:
    """Read the form to its end and store its file.

    Raises:
        TooLarge: more than `limit_bytes`; told before reading when Content-Length says so.
        Unsupported: not a multipart form, or not a PDF.
        Invalid: a broken form, or not exactly one file in the field `file`.
        OutOfSpace: no room to store it.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit_bytes + FORM_BYTES:
        raise TooLarge(f"the file is larger than {limit_bytes} bytes")
    form = _Form(_boundary(request))
    async with aclosing(form.file(request.stream())) as file, aclosing(_only_pdf(file)) as chunks:
        blob = await blobs.put(chunks, limit_bytes=limit_bytes)
    filename = safe_name(form.filename)
    fingerprint = [
        [name, filename, blob.sha256] if name == FIELD else [name] for name in form.names
    ]
    return Upload(filename, blob, fingerprint)


def safe_name(name: str) -> str:
    """A file's name as people may see it anywhere: no folders, no control characters, no end."""
    name = name.replace("\\", "/").rpartition("/")[2]
    seen = "".join(one for one in name if unicodedata.category(one)[0] != "C")
    seen = " ".join(seen.split())
    if not seen.strip("."):
        return _NAMELESS
    if len(seen) > _LONGEST_NAME:
        stem, dot, ending = seen.rpartition(".")
        kept = dot + ending if stem and len(ending) <= len("jpeg") else ""
        seen = seen[: _LONGEST_NAME - len(kept)] + kept
    return seen


async def _only_pdf(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Pass on the bytes of a PDF; anything else is refused as soon as that is certain."""
    head, passed = b"", False
    async for chunk in chunks:
        if passed:
            yield chunk
            continue
        head += chunk
        passed = _MAGIC in head[:HEAD_BYTES]
        if passed:
            yield head
        elif len(head) >= HEAD_BYTES:
            break
    if not passed:
        raise Unsupported("the file is not a PDF", code="not_a_pdf")


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Unsupported("send the PDF as multipart/form-data")
    return options[b"boundary"]


@dataclass(slots=True)
class _Part:
    """The headers of the part that is being read."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: bytes = b""
    value: bytes = b""


class _Form:
    """Reads one form. The parser calls back for each piece; the file's bytes are passed on."""

    def __init__(self, boundary: bytes) -> None:
        self.names: list[str] = []
        self.filename = ""
        self._part = _Part()
        self._in_file = False
        self._ended = False
        self._pieces: list[bytes] = []
        self._parser = _parser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_end": self._on_end,
            },
        )

    async def file(self, stream: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """Yield the bytes of the file as they come in; ends with the form."""
        others = 0
        try:
            async for chunk in stream:
                self._parser.write(chunk)
                piece = b"".join(self._pieces)
                self._pieces.clear()
                others += len(chunk) - len(piece)
                if others > FORM_BYTES:
                    raise TooLarge("the form holds too much beside the file")
                if piece:
                    yield piece
        except FormParserError as error:
            raise Invalid("the form is broken", code="broken_form") from error
        except ClientDisconnect as error:
            raise Invalid("the upload broke off", code="broken_form") from error
        if not self._ended:
            raise Invalid("the upload broke off", code="broken_form")
        if self.names.count(FIELD) != 1:
            problem = {"field": FIELD, "detail": "exactly one file is needed here"}
            raise Invalid(f"send one file in the field {FIELD!r}", errors=[problem])

    def _on_part_begin(self) -> None:
        self._part, self._in_file = _Part(), False

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.value += data[start:end]

    def _on_header_end(self) -> None:
        self._part.headers[self._part.name.lower()] = self._part.value
        self._part.name = self._part.value = b""

    def _on_headers_finished(self) -> None:
        disposition = self._part.headers.get(b"content-disposition", b"")
        _kind, options = parse_options_header(disposition)
        name = _text(options.get(b"name", b""))
        self.names.append(name)
        self._in_file = name == FIELD and self.names.count(FIELD) == 1
        if self._in_file:
            self.filename = _text(options.get(b"filename", b"")) or _extended(disposition)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._pieces.append(data[start:end])

    def _on_end(self) -> None:
        self._ended = True


def _parser(boundary: bytes, callbacks: Any) -> MultipartParser:
    try:
        return MultipartParser(boundary, callbacks)
    except FormParserError as error:
        raise Invalid("the form is broken", code="broken_form") from error


def _extended(disposition: bytes) -> str:
    """The file's name where only `filename*=UTF-8''…` (RFC 8187) has it; else nothing."""
    _before, found, after = disposition.decode("latin-1").partition("filename*=")
    encoded = after.split(";")[0].strip().rpartition("'")[2]
    return unquote(encoded) if found else ""


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
