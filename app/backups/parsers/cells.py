"""One cell of a stranger's table as the type it should have, or None.

SQLite checks no types: any column may hold anything.
"""

import math
from datetime import datetime

from app.backups.parsers.apple_time import from_apple

_NUMBERS = frozenset({int, float})
_SMALL = 2**31  # what an ordinary integer column takes


def text_of(value: object) -> str | None:
    """Text with something in it."""
    return value if isinstance(value, str) and value else None


def line_of(value: object) -> str | None:
    """Text without white space around it, for names and the like."""
    return (value.strip() or None) if isinstance(value, str) else None


def int_of(value: object) -> int | None:
    """A whole number, as SQLite stores them: 64 bits."""
    return value if type(value) is int else None


def code_of(value: object) -> int | None:
    """A whole number of at most 32 bits: a kind, a state, a flag."""
    return value if type(value) is int and -_SMALL <= value < _SMALL else None


def size_of(value: object) -> int | None:
    """Bytes; 0 and less stand for "unknown"."""
    return value if type(value) is int and value > 0 else None


def float_of(value: object) -> float | None:
    """A finite number."""
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return float(value)
    return None


def blob_of(value: object) -> bytes | None:
    """Bytes with something in them."""
    return value if type(value) is bytes and value else None


def time_of(value: object) -> datetime | None:
    """A time of the years 2001 to 2199; Apple's earlier ones mean "never"."""
    return from_apple(value) if type(value) in _NUMBERS and value > 0 else None  # type: ignore[operator]


def place_of(latitude: object, longitude: object) -> tuple[float | None, float | None]:
    """Coordinates on the globe, or two None. 0, 0 and -180, -180 stand for "nowhere"."""
    north, east = float_of(latitude), float_of(longitude)
    if north is None or east is None or not -90 <= north <= 90 or not -180 <= east <= 180:
        return None, None
    return (None, None) if north == east == 0 else (north, east)
