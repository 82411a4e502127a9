"""What the limited child process does with a backup: all that touches a stranger's bytes.

One request first looks at the backup (`looking`), the next ones begin to read its databases, so
that it is known how much there is, and then read them (`reading`, `reading_artifacts`).
"""

import gc
import tempfile
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec

from app.backups.looking import fingerprint, look
from app.backups.reading import read_messages
from app.backups.reading_artifacts import READERS

READS = {"messages": read_messages, **READERS}

_FRAMES_PER_SWEEP = 8

_encode = msgspec.msgpack.Encoder().encode
_begun: dict[str, tuple[dict[str, Any], Iterator[Any]]] = {}


def answer(request: dict[str, Any]) -> Iterator[Any]:
    """Do what `request["do"]` names.

    "look": see `looking.look`. "fingerprint": of the files that "paths" names. "begin": how many
    records the database `request["name"]` gives to a reader that is asked `request["request"]`.
    "read": its frames.

    Frames are given as bytes, MessagePack once more: the pool then passes them on without looking
    inside, and whoever knows their types decodes them.
    """
    match request["do"]:
        case "look":
            _begun.clear()
            yield look(request)
        case "fingerprint":
            yield fingerprint(request["paths"])
        case "begin":
            yield _begin(request["name"], request["request"])
        case "read":
            yield from _read(request["name"], request["request"])


def _begin(name: str, request: dict[str, Any]) -> int:
    tempfile.tempdir = request["room"]  # copies go with the job, also when it is killed
    frames = READS[name](request)
    head = next(frames)
    _begun[name] = request, chain([head], frames)
    total: int = head[1]["total"]
    return total


def _read(name: str, request: dict[str, Any]) -> Iterator[bytes]:
    """Frames of the reading that was begun, unless another one is wanted."""
    begun, frames = _begun.pop(name, ({}, iter(())))
    if begun != request:
        tempfile.tempdir = request["room"]
        frames = READS[name](request)
    gc.disable()  # a third of the time would go into looking for garbage in what is alive
    for number, frame in enumerate(frames, 1):
        yield _encode(frame)
        if number % _FRAMES_PER_SWEEP == 0:
            gc.collect(0)  # what the frames have left behind, so that nothing piles up
