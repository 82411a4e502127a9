"""NSArchiver's typedstream, unarchived far enough for the bodies of messages.

A stream is a header and typed groups. A group names its type ("@" object, "+" bytes, "i" integer
...) and gives the values. Strings and objects are shared: 0x84 announces a new one, 0x92 + n
refers to the n-th; strings and objects are counted apart.

Source: docs/formats.md, Messages (typedstream), checked on the real blobs of
data/ios/messages.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

HEADER = b"\x04\x0bstreamtyped\x81\xe8\x03"
I16, I32 = 0x81, 0x82  # before an integer of 2 or 4 bytes

_FLOAT, _NEW, _NIL, _END, _FIRST_REFERENCE = 0x83, 0x84, 0x85, 0x86, 0x92
_INTEGERS, _UNSIGNED, _BYTES = frozenset("sSiIlLqQ"), frozenset("SILQ"), frozenset("cCB")
_MAX_DEPTH = 40  # objects within objects; real bodies reach 5
_MAX_VALUES = (
    50_000  # per body, so that hostile bytes cost milliseconds; the largest real one has 600
)
_UNKNOWN = object()


class TypedStreamError(ValueError):
    """The bytes are not a typedstream, or it is damaged."""


def unarchive(body: bytes) -> "Unarchived":
    """The root object of a typedstream.

    Raises:
        TypedStreamError: damaged bytes; nothing else is raised, and the time is bounded.
    """
    try:
        root = _Unarchiver(body).root()
    except (struct.error, IndexError, TypeError, ValueError) as error:
        raise TypedStreamError(f"damaged typedstream: {error}") from error
    if not isinstance(root, Unarchived):
        raise TypedStreamError("no object in the typedstream")
    return root


def plain(value: Any) -> Any:
    """The Python value of an unarchived object; of an unknown class, its first string or None.

    Raises:
        IndexError, TypeError: the object does not hold what its class promises.
    """
    if not isinstance(value, Unarchived):
        return value
    if value.plain is _UNKNOWN:
        value.plain = None  # what an object sees of itself, should it contain itself
        value.plain = _converted(set(value.classes), value.values)
    return value.plain


class Unarchived:
    """One unarchived object: its class and superclasses, and the values of its groups in order."""

    __slots__ = ("classes", "plain", "values")

    def __init__(self) -> None:
        self.classes: tuple[str, ...] = ()
        self.values: list[Any] = []
        self.plain: Any = _UNKNOWN  # kept once known: shared objects could double at every level


class _Class(NamedTuple):
    names: tuple[str, ...]  # the class itself first


class _Unarchiver:
    """Reads groups; every value read is counted, so that no input can make it run long."""

    def __init__(self, body: bytes) -> None:
        if not body.startswith(HEADER):
            raise TypedStreamError("no typedstream header")
        self._body = body
        self._at = len(HEADER)
        self._strings: list[bytes] = []
        self._objects: list[Any] = []
        self._types: dict[bytes, tuple[str, ...]] = {}
        self._values_left = _MAX_VALUES

    def root(self) -> Any:
        """The first object of the stream."""
        return next(self._group(self._type_string(self._byte()), 0), None)

    def _take(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._body):
            raise TypedStreamError("ends too early")
        self._at += size
        return self._body[self._at - size : self._at]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _integer(self, *, signed: bool = True, head: int | None = None) -> int:
        head = self._byte() if head is None else head
        if head == I16:
            return int.from_bytes(self._take(2), "little", signed=signed)
        if head == I32:
            return int.from_bytes(self._take(4), "little", signed=signed)
        if 0x80 <= head < _FIRST_REFERENCE:
            raise TypedStreamError(f"tag 0x{head:02x} where an integer was expected")
        return head - 256 if signed and head > 0x7F else head

    def _reference(self, head: int) -> int:
        number = self._integer(head=head) - (_FIRST_REFERENCE - 256)
        if number < 0:
            raise TypedStreamError("reference to nothing")
        return number

    def _shared_string(self, head: int) -> bytes | None:
        if head == _NIL:
            return None
        if head == _NEW:
            self._strings.append(self._take(self._integer(signed=False)))
            return self._strings[-1]
        return self._strings[self._reference(head)]

    def _type_string(self, head: int) -> tuple[str, ...]:
        encoding = self._shared_string(head)
        if encoding is None:
            raise TypedStreamError("a group without a type")
        if encoding not in self._types:
            self._types[encoding] = tuple(_split_types(encoding.decode("ascii")))
        return self._types[encoding]

    def _group(self, types: tuple[str, ...], depth: int) -> Iterator[Any]:
        for encoding in types:
            self._values_left -= 1
            if self._values_left < 0 or depth > _MAX_DEPTH:
                raise TypedStreamError("too large or too deep")
            yield self._value(encoding, depth)

    def _value(self, encoding: str, depth: int) -> Any:  # one line per type letter
        if encoding == "@":
            return self._object(depth + 1)
        if encoding in _INTEGERS:
            return self._integer(signed=encoding not in _UNSIGNED)
        if encoding in _BYTES:
            return self._byte() if encoding != "c" else int.from_bytes(self._take(1), signed=True)
        if encoding == "+":
            return self._take(self._integer(signed=False))
        if encoding in {"f", "d"}:
            return self._float(encoding)
        if encoding == "*":
            return self._c_string()
        if encoding in {"%", ":"}:
            return self._shared_string(self._byte())
        if encoding == "#":
            return self._class(self._byte())
        if encoding[0] == "[":
            return self._take(int(encoding[1:-2]))
        raise TypedStreamError(f"unknown type {encoding!r}")

    def _float(self, encoding: str) -> float:
        head = self._byte()
        if head != _FLOAT:
            return float(self._integer(head=head))
        size, layout = (4, "<f") if encoding == "f" else (8, "<d")
        return float(struct.unpack(layout, self._take(size))[0])

    def _c_string(self) -> bytes | None:
        head = self._byte()
        if head == _NIL:
            return None
        if head != _NEW:
            shared = self._objects[self._reference(head)]
            return shared if isinstance(shared, bytes) else None
        text = self._shared_string(self._byte())
        self._objects.append(text)
        return text

    def _class(self, head: int) -> tuple[str, ...]:
        """Names of a class and its superclasses; a chain of new ones is a loop, not a recursion."""
        fresh: list[str] = []
        places: list[int] = []
        while head == _NEW:
            name = self._shared_string(self._byte()) or b""
            self._integer()  # the version of the class
            places.append(len(self._objects))
            self._objects.append(None)
            fresh.append(name.decode("ascii", "replace"))
            head = self._byte()
            if len(fresh) > _MAX_DEPTH:
                raise TypedStreamError("too many superclasses")
        known = None if head == _NIL else self._objects[self._reference(head)]
        names = (*fresh, *(known.names if isinstance(known, _Class) else ()))
        for generation, place in enumerate(places):
            self._objects[place] = _Class(names[generation:])
        return names

    def _object(self, depth: int) -> Any:
        head = self._byte()
        if head == _NIL:
            return None
        if head != _NEW:
            return self._objects[self._reference(head)]
        made = Unarchived()
        self._objects.append(made)
        made.classes = self._class(self._byte())
        while (head := self._byte()) != _END:
            made.values.extend(self._group(self._type_string(head), depth))
        return made


def _split_types(encoding: str) -> Iterator[str]:
    """Cut a type string into types: "iI" is two, "[12c]" one, "{name=ii}" its members."""
    at = 0
    while at < len(encoding):
        if encoding[at] == "[":
            end = encoding.index("]", at)
            if encoding[end - 1] not in _BYTES or not encoding[at + 1 : end - 1].isdecimal():
                raise TypedStreamError("only arrays of bytes are known")
            yield encoding[at : end + 1]
            at = end + 1
        elif encoding[at] == "{":
            at = encoding.index("=", at) + 1
        else:
            if encoding[at] != "}":
                yield encoding[at]
            at += 1


def _converted(names: set[str], values: list[Any]) -> Any:
    if "NSString" in names:
        return bytes.decode(values[0], "utf-8", "replace").replace("\0", "")
    if "NSDictionary" in names:
        pairs = zip(map(plain, values[1::2]), map(plain, values[2::2]), strict=False)
        return {key: content for key, content in pairs if isinstance(key, str)}
    if "NSNumber" in names:
        return values[1] if isinstance(values[1], int | float) else None
    if "NSData" in names:
        return values[1] if isinstance(values[1], bytes) else None
    return next((inner for inner in map(plain, values) if isinstance(inner, str)), None)
