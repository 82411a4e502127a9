"""Following the audit trails of all jobs by their running number, so that no line is missed."""

import time
from collections.abc import Sequence

from app.jobs.store import changes
from app.jobs.store.read import Reader

_LINES = 1_000  # read at once
_BEHIND = 20_000  # lines; further behind, the rest is skipped and said to be missing
_GAP_SECONDS = 10.0  # for which a missing number may belong to a transaction under way
_MOST_GAPS = 2_000


class Trail:
    """A place in the audit trails, and the numbers below it that have not appeared yet."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._at = 0
        self._gaps: dict[int, float] = {}

    async def begin(self) -> None:
        """Follow from here; numbers that are missing just below may still come."""
        self._begin(await changes.newest_lines(self._reader))

    def _begin(self, newest: Sequence[int]) -> None:
        self._at, self._gaps = (newest[0] if newest else 0), {}
        if newest:
            self._note_gaps(newest[-1], set(newest))

    async def news(self) -> tuple[set[str], bool]:
        """The jobs of new lines, and whether that is all: what was too much is left out."""
        found = await changes.lines_after(self._reader, self._at, self._gaps, _LINES)
        newest = await changes.newest_lines(self._reader) if len(found) >= _LINES else []
        # From here on nothing can fail: what was read is told.
        numbers = {seq for seq, _job in found}
        for seq in numbers & self._gaps.keys():
            del self._gaps[seq]
        before, self._at = self._at, max(self._at, max(numbers, default=0))
        self._note_gaps(before + 1, numbers)
        behind = bool(newest) and newest[0] - self._at > _BEHIND
        if behind:
            self._begin(newest)
        return {job for _seq, job in found}, not behind

    def _note_gaps(self, first: int, present: set[int]) -> None:
        """Expect the numbers from `first` up to here that are not among `present`."""
        moment = time.monotonic()
        self._gaps = {seq: until for seq, until in self._gaps.items() if until > moment}
        first = max(first, self._at - _MOST_GAPS)
        missing = set(range(first, self._at)) - present
        self._gaps |= dict.fromkeys(missing, moment + _GAP_SECONDS)
