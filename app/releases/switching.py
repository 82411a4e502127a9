"""One environment's folder: its releases, and the link that says which one is live.

    <environment>/current                     a link to releases/<sequence>-<build>
    <environment>/releases/<sequence>-<build> the files of one run
    <environment>/run                         "<sequence> open" or "<sequence> closed"

A run must enter before it changes anything. From then on every earlier run is refused, also one
whose process was frozen and comes back; so is a run that was closed, because its worker was taken
for dead. All of it happens under a lock on the environment's folder, and `current` moves by
a rename, so that its readers see one release or the other.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from app.core.errors import Conflict
from app.releases.locks import try_lock

_LOCK_SECONDS = 0.3  # the lock is held for moments; callers with more patience ask again
_RELEASE = re.compile(r"(\d+)-([0-9a-f-]{36})")


class Superseded(Conflict):
    """A later run has begun in this environment, or this one was taken for lost."""

    code = "superseded"


class Locked(Conflict):
    """Somebody else holds the environment's lock."""

    code = "environment_locked"


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """One run's files in an environment."""

    sequence: int
    build_id: UUID

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.sequence}-{self.build_id}"

    @classmethod
    def of(cls, name: str) -> "Release | None":
        """The release that a folder's name stands for."""
        found = _RELEASE.fullmatch(name)
        if found is None:
            return None
        with suppress(ValueError):
            return cls(int(found[1]), UUID(found[2]))
        return None


class EnvironmentFolder:
    """The folder of one environment, as one run sees it. All methods wait for the disk."""

    def __init__(self, releases_dir: Path, environment: str) -> None:
        """Nothing is made before `enter`."""
        self.path = releases_dir / environment
        self._releases = self.path / "releases"
        self._current = self.path / "current"

    def live(self) -> Release | None:
        """What `current` points to, or None."""
        try:
            target = Path(os.readlink(self._current))  # noqa: PTH115 -- as it is written
        except OSError:
            return None
        return Release.of(target.name)

    def folder_of(self, release: Release) -> Path:
        """Where the release's files are, or go."""
        return self._releases / release.name

    def enter(self, sequence: int) -> Release | None:
        """Begin a run; the release that is live before it. Raises `Superseded`, `Locked`."""
        self._releases.mkdir(parents=True, exist_ok=True)
        with self._locked():
            last, _open = self._run()
            if last >= sequence:
                raise _superseded()
            self._write_run(sequence, "open")
            return self.live()

    def last_run(self) -> int:
        """The number of the last run that has begun here; 0 before the first."""
        return self._run()[0]

    def switch(self, release: Release) -> None:
        """Make a release live, whose files are all there. Raises `Superseded`, `Locked`."""
        with self._locked():
            self._must_be_open(release.sequence)
            self._point_to(release)

    def roll_back(self, release: Release, previous: Release | None) -> bool:
        """Make `previous` live again if `release` is; whether it was.

        None: nothing was live before. Raises `Superseded`, `Locked`.
        """
        with self._locked():
            self._must_be_open(release.sequence)
            if self.live() != release:
                return False
            if previous is None:
                self._current.unlink()
                sync(self.path)
            else:
                self._point_to(previous)
            return True

    def discard(self, release: Release) -> None:
        """Remove a release that is not live and never will be. Raises `Superseded`, `Locked`."""
        with self._locked():
            self._must_be_open(release.sequence)
            if self.live() == release or not self.folder_of(release).is_dir():
                return
            aside = self._set_aside(release)
        shutil.rmtree(aside, ignore_errors=True)

    def close(self, sequence: int) -> Release | None:
        """End a run whose worker is gone: it changes nothing any more. The release that is live.

        Raises `Locked`.
        """
        if not self.path.is_dir():
            return None
        with self._locked():
            last, _open = self._run()
            if last <= sequence:
                self._write_run(sequence, "closed")
            return self.live()

    def prune(self, sequence: int, keep: int) -> int:
        """Remove all releases but the newest `keep`, the live one among them; how many went.

        Raises `Superseded`, `Locked`.
        """
        with self._locked():
            self._must_be_open(sequence)
            live = self.live()
            found = filter(None, (Release.of(each.name) for each in self._releases.iterdir()))
            old = [each for each in sorted(found, reverse=True) if each != live][keep - 1 :]
            unfinished = [*self._releases.glob(".*")]
            doomed = [*map(self._set_aside, old), *unfinished]
        for folder in doomed:
            shutil.rmtree(folder, ignore_errors=True)
        return len(old)

    def _set_aside(self, release: Release) -> Path:
        aside = self._releases / f".{release.name}"
        self.folder_of(release).rename(aside)
        return aside

    def _point_to(self, release: Release) -> None:
        new = self.path / ".current"
        new.unlink(missing_ok=True)
        new.symlink_to(Path("releases") / release.name)
        new.replace(self._current)
        sync(self.path)

    def _must_be_open(self, sequence: int) -> None:
        if self._run() != (sequence, True):
            raise _superseded()

    def _run(self) -> tuple[int, bool]:
        try:
            sequence, state = (self.path / "run").read_text().split()
            return int(sequence), state == "open"
        except (FileNotFoundError, ValueError):  # never run, or no word of ours
            live = self.live()
            return (0 if live is None else live.sequence), False

    def _write_run(self, sequence: int, state: str) -> None:
        new = self.path / ".run"
        new.write_text(f"{sequence} {state}\n")
        sync(new)
        new.replace(self.path / "run")
        sync(self.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self.path, os.O_RDONLY)
        try:
            _wait_for_lock(folder)
            yield
        finally:
            os.close(folder)


def environments(releases_dir: Path) -> list[str]:
    """The environments that have a folder, by name."""
    try:
        return sorted(each.name for each in releases_dir.iterdir() if each.is_dir())
    except OSError:
        return []


def _wait_for_lock(descriptor: int) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            raise Locked("Somebody else holds the environment's lock.")
        time.sleep(0.02)  # noqa: TID251 -- called in a thread


def _superseded() -> Superseded:
    return Superseded("A later deployment has begun here, or this one was taken for lost.")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
