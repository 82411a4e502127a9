"""Protocol buffers without their schema: the numbered fields of a message.

Source: protobuf.dev, Encoding. Groups (wire types 3 and 4) are long out of use and are damage here.
"""

from typing import TypeAlias

MAX_FIELDS = 500_000  # per message; a hostile one could hold millions in a few megabytes
_MAX_SHIFT = 63
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_FIXED = {_FIXED_64: 8, _FIXED_32: 4}

Value: TypeAlias = int | bytes


class ProtobufError(ValueError):
    """The bytes are not a message, or it is damaged or far too large."""


class Fields(dict[int, list[Value]]):
    """The fields of one message: for each number its values, in the order they were met."""

    def number(self, field: int) -> int | None:
        """The last whole number of a field, as protocol buffers have it, or None."""
        found = self.get(field)
        value = found[-1] if found else None
        return value if type(value) is int else None

    def blob(self, field: int) -> bytes | None:
        """The last bytes of a field, or None."""
        found = self.get(field)
        value = found[-1] if found else None
        return value if type(value) is bytes else None

    def text(self, field: int) -> str | None:
        """The last text of a field, broken characters replaced and without NUL; None if empty."""
        value = self.blob(field)
        return text_in(value) if value else None

    def message(self, field: int) -> "Fields":
        """The last message in a field; without fields where there is none.

        Raises:
            ProtobufError: it is damaged.
        """
        return decode(self.blob(field) or b"")

    def messages(self, field: int) -> "list[Fields]":
        """All messages of a repeated field.

        Raises:
            ProtobufError: one is damaged.
        """
        return [decode(value) for value in self.get(field, ()) if type(value) is bytes]


def text_in(value: bytes) -> str | None:
    """UTF-8 as text, broken characters replaced and without NUL; None if empty."""
    return value.decode("utf-8", "replace").replace("\0", "") or None


def decode(data: bytes) -> Fields:
    """The fields of a message.

    Raises:
        ProtobufError: damaged bytes; nothing else is raised, and the time is bounded.
    """
    fields = Fields()
    at, size, left = 0, len(data), MAX_FIELDS
    while at < size:
        key, at = _varint(data, at)
        kind = key & 7
        value: Value
        if kind == _VARINT:
            value, at = _varint(data, at)
        else:
            if kind == _BYTES:
                length, at = _varint(data, at)
            elif kind in _FIXED:
                length = _FIXED[kind]
            else:
                raise ProtobufError(f"wire type {kind}")
            value, at = data[at : at + length], at + length
            if at > size:
                raise ProtobufError("ends too early")
        left -= 1
        if left < 0:
            raise ProtobufError("too many fields")
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    try:
        byte = data[at]
        if byte < 0x80:
            return byte, at + 1
        value, shift = byte & 0x7F, 7
        while shift <= _MAX_SHIFT:
            at += 1
            byte = data[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at + 1
            shift += 7
    except IndexError:
        raise ProtobufError("ends too early") from None
    raise ProtobufError("a number of more than 64 bits")
