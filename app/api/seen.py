"""The versions that this process saw a moment ago: what answers 304 without the database."""

import time
from collections.abc import Mapping

FRESH_SECONDS = 0.25  # how old a version may be that answers 304; two looks of the feed
_MOST = 10_000


class _Known:
    __slots__ = ("until", "version", "viewers")

    def __init__(self) -> None:
        self.version = 0
        self.until = 0.0
        self.viewers: set[str | None] = set()  # owners who were shown it; None is every admin


class Seen:
    """Versions by job, and who was allowed to see them."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def note(self, job_id: str, owner: str | None, version: int, asked: float) -> None:
        """Remember that `owner` saw the job at `version`; `asked` is when, by the monotonic clock.

        The time of the question counts, not that of the answer: in between the row may change.
        """
        known = self._known.get(job_id)
        if known is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[job_id] = _Known()
        known.viewers.add(owner)
        known.version, known.until = version, asked + FRESH_SECONDS

    def refresh(self, versions: Mapping[str, int], asked: float) -> None:
        """What the feed has just found, of the jobs that somebody has been shown."""
        for job_id in versions.keys() & self._known.keys():
            known = self._known[job_id]
            known.version, known.until = versions[job_id], asked + FRESH_SECONDS

    def lately(self, job_id: str, owner: str | None) -> int | None:
        """The version that `owner` would have seen a moment ago, if somebody looked."""
        known = self._known.get(job_id)
        if known is None or owner not in known.viewers or known.until <= time.monotonic():
            return None
        return known.version

    def forget(self) -> None:
        """Something was changed here: nobody may be told of an earlier version."""
        self._known.clear()
