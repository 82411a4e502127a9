"""What a recipe's output says of its progress.

Two forms are read, anywhere in a line: `[3/10]` (the third of ten) and `headway-progress: 30`
(per cent). The last line that can be shown is the message for people.
"""

import re
from dataclasses import dataclass

MESSAGE_CHARACTERS = 200

_LINE_BYTES = 4096  # of a line without an end; the rest of it is not looked at
_LINES_BACK = 20  # that are looked at for one that can be shown
_TOLD = re.compile(
    rb"\[\s*(?P<done>\d{1,9})\s*/\s*(?P<total>\d{1,9})\s*\]"
    rb"|headway-progress:\s*(?P<percent>\d{1,3})",
    re.IGNORECASE,
)
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


@dataclass(slots=True)
class Progress:
    """Reads output as it comes; `done` of `total` is the newest that it told."""

    done: int = 0
    total: int | None = None
    message: str | None = None
    _line: bytes = b""

    def feed(self, content: bytes) -> None:
        """Read more output. A line ends with a line feed, or a carriage return as bars use it."""
        known = self._line + content
        end = max(known.rfind(b"\n"), known.rfind(b"\r")) + 1
        self._line = known[end:][:_LINE_BYTES]
        self._read(known[:end])

    def close(self) -> None:
        """Read a last line without an end."""
        self._read(self._line)
        self._line = b""

    def _read(self, lines: bytes) -> None:
        """Read whole lines, at the speed of a search: a recipe may print millions."""
        for found in _TOLD.finditer(lines):
            done, total = found["done"], found["total"]
            if found["percent"] is not None:
                self.done, self.total = min(100, int(found["percent"])), 100
            elif 0 < int(total) >= int(done):
                self.done, self.total = int(done), int(total)
        for line in reversed(lines[-_LINE_BYTES:].splitlines()[-_LINES_BACK:]):
            if shown := shown_line(line):
                self.message = shown
                return


def shown_line(line: bytes) -> str:
    """A line of output as it can be shown: no colours, nothing that is not printable."""
    text = _COLOURS.sub("", line.decode("utf-8", "replace"))
    return "".join(c if c.isprintable() else " " for c in text).strip()[:MESSAGE_CHARACTERS]
