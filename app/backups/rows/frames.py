"""What the child sends of one database, and reading it under suspicion.

Frames are checked against the types of the parsers' records: the child reads hostile bytes, and
might send anything. See `app.backups.reading` for their order.
"""

import gc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import msgspec

from app.core.processes import Refused

MOST_RECORDS = 5_000  # of a frame: what is made of one in the parent is bounded by it
NO_FRAME = "The process that read the database sent something else."  # a refusal's sentence

A = TypeVar("A")


class Head(msgspec.Struct, Generic[A], tag="head", array_like=True):
    """The first frame: what is known before the first record is read."""

    about: A


class Records(msgspec.Struct, tag="records", array_like=True):
    """Records in rowid order; going on after `last_rowid` gives the rest."""

    records: msgspec.Raw  # see `Frames.records`
    last_rowid: int
    lost: int  # rows that damage has hidden in this run so far


class Summary(msgspec.Struct):
    """What is known after the last record is read."""

    warnings: list[dict[str, str]]


class End(msgspec.Struct, tag="end", array_like=True):
    """The last frame."""

    summary: Summary


class About(msgspec.Struct):
    """How many records there are in all; what else comes first, each domain adds."""

    total: int


Frame = Head[Any] | Records | End


class Frames:
    """Decodes the frames of one domain."""

    def __init__(self, about: Any, records: Any, many: Callable[[Any], int] = len) -> None:
        """The types of what a head holds, and of the records of a frame, together; `many` counts them."""
        self._many = many
        self._decode = msgspec.msgpack.Decoder(Head[about] | Records | End).decode
        self._decode_records = msgspec.msgpack.Decoder(records).decode

    def decode(self, frame: bytes) -> Frame:
        """One frame of the child, its records still as they came.

        Raises:
            Refused: it is none.
        """
        with _refusing():
            found: Frame = self._decode(frame)
        return found

    def records(self, raw: msgspec.Raw) -> Any:
        """The records of a frame. Whoever makes rows of them does well to drop them at once.

        Raises:
            Refused: they are none, or more than anybody has asked for.
        """
        with _refusing():
            found = self._decode_records(raw)
        if self._many(found) > MOST_RECORDS:
            raise Refused(NO_FRAME)
        return found


@contextmanager
def _refusing() -> Generator[None]:
    try:
        yield
    except (msgspec.DecodeError, RecursionError, TypeError, UnicodeDecodeError) as error:
        raise Refused(NO_FRAME) from error


@contextmanager
def without_collector() -> Generator[None]:
    """Make many objects at once, without a search for cycles among them every 700.

    Must not be held over an `await`. What is dropped before the end is never searched at all.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
