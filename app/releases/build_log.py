"""What is kept of a build's output: its beginning and its end, in pieces that readers can join.

Output may go on without end, and the end is where the error stands. So the first `HEAD` bytes
are kept, and of everything after them the last `TAIL` bytes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

HEAD = 256 * 1024  # bytes
TAIL = 768 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the output, and how many had come before them."""

    position: int
    content: bytes

    @property
    def end(self) -> int:
        """The position after it."""
        return self.position + len(self.content)


@dataclass(frozen=True, slots=True)
class Write:
    """What to store next; pieces behind the head that end before `forget_before` may go."""

    pieces: Sequence[Piece]
    forget_before: int


class BuildLog:
    """Takes output as it comes; gives it out to be stored in between."""

    def __init__(self, head: int = HEAD, tail: int = TAIL) -> None:
        """Keep so many bytes of the beginning and of the end."""
        self.size = 0  # bytes that have come in all
        self._limits = head, tail
        self._head, self._tail = _Waiting(0), _Waiting(head)

    def feed(self, content: bytes) -> None:
        """Take more output; of what is not stored yet, no more than is kept stays in memory."""
        head, tail = self._limits
        room = max(0, head - self.size)
        self._head.content += content[:room]
        self._tail.content += content[room:]
        self._tail.drop(len(self._tail.content) - tail)
        self.size += len(content)

    def pending(self) -> Write | None:
        """What waits to be stored, or None; it waits until `stored` is told of it."""
        waiting = [each for each in (self._head, self._tail) if each.content]
        pieces = [Piece(each.position, bytes(each.content)) for each in waiting]
        return Write(pieces, self.size - self._limits[1]) if pieces else None

    def stored(self, write: Write) -> None:
        """Note that `write` is stored."""
        for piece in write.pieces:
            waiting = self._head if piece.position < self._limits[0] else self._tail
            waiting.drop(piece.end - waiting.position)


@dataclass(slots=True)
class _Waiting:
    """Bytes in memory, and the position of the first."""

    position: int
    content: bytearray = field(default_factory=bytearray)

    def drop(self, count: int) -> None:
        if count > 0:
            del self.content[:count]
            self.position += count


def joined(pieces: Iterable[Piece]) -> str:
    """The log for people: pieces in order, and a line where something was left out."""
    parts, expected = [], 0
    for piece in pieces:
        if piece.position > expected:
            parts.append(f"\n[{piece.position - expected:,} bytes left out]\n".encode())
        parts.append(piece.content)
        expected = piece.end
    return b"".join(parts).decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
