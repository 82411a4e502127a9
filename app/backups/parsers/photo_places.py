"""Where a photo was taken, in words: what the phone has looked up for its coordinates.

Reads `ZREVERSELOCATIONDATA`, a keyed archive. Its postal address has the parts `_street`,
`_subLocality`, `_city` and so on; its places have a `name` each.

Source: docs/formats.md, Photos.
"""

import plistlib
from collections.abc import Iterator
from typing import Any

_MAX_BYTES = 2**20  # real ones have some kilobytes
_MAX_OBJECTS = 5000
_MAX_WORDS = 12
_ADDRESS = ("_street", "_subLocality", "_city", "_subAdministrativeArea", "_state", "_country")
_NULL = "$null"


def read_place(blob: object) -> str | None:
    """The names of the place, from the narrowest to the widest; None where there are none.

    Never raises.
    """
    if type(blob) is not bytes or len(blob) > _MAX_BYTES:
        return None
    try:
        archive = plistlib.loads(blob, fmt=plistlib.FMT_BINARY)
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None
    objects = archive.get("$objects") if isinstance(archive, dict) else None
    if not isinstance(objects, list) or len(objects) > _MAX_OBJECTS:
        return None
    words = [*_names(objects), *_address(objects)] or list(_any_words(objects))
    return ", ".join(list(dict.fromkeys(words))[:_MAX_WORDS]) or None


def _names(objects: list[Any]) -> Iterator[str]:
    """The names of places; the phone sorts them from the narrowest to the widest."""
    for one in objects:
        if isinstance(one, dict) and "name" in one and "placeType" in one:
            yield from _word(objects, one["name"])


def _address(objects: list[Any]) -> Iterator[str]:
    for one in objects:
        if isinstance(one, dict) and ("_city" in one or "_country" in one):
            for key in _ADDRESS:
                yield from _word(objects, one.get(key))


def _any_words(objects: list[Any]) -> Iterator[str]:
    """Strings of an archive of an unknown shape that are neither keys nor names of classes."""
    keys = {
        key.data
        for one in objects
        if isinstance(one, dict)
        for key in _list(one.get("NS.keys"))
        if isinstance(key, plistlib.UID)
    }
    for number, one in enumerate(objects):
        if isinstance(one, str) and number not in keys and len(one) > 2:
            yield from _word(objects, one)


def _word(objects: list[Any], value: object) -> Iterator[str]:
    if isinstance(value, plistlib.UID) and value.data < len(objects):
        value = objects[value.data]
    if isinstance(value, dict):  # a mutable string
        value = value.get("NS.string")
    if isinstance(value, str) and value != _NULL:
        line = " ".join(value.replace("\0", "").encode("utf-8", "replace").decode().split())
        if line:
            yield line


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
