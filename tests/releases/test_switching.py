"""The folder of an environment: who may switch it, and what its readers see."""

import fcntl
import os
import threading
from pathlib import Path
from uuid import UUID

import pytest

from app.releases.switching import EnvironmentFolder, Locked, Release, Superseded, environments

BUILD = UUID(int=7)


@pytest.fixture
def folder(tmp_path: Path) -> EnvironmentFolder:
    return EnvironmentFolder(tmp_path, "prod")


def run(folder: EnvironmentFolder, sequence: int) -> Release:
    """A whole run: the release that is live after it."""
    release = placed(folder, sequence)
    folder.switch(release)
    return release


def placed(folder: EnvironmentFolder, sequence: int) -> Release:
    folder.enter(sequence)
    release = Release(sequence, BUILD)
    folder.folder_of(release).mkdir()
    (folder.folder_of(release) / "number").write_text(str(sequence))
    return release


def test_an_environment_without_a_run_has_nothing_live(folder: EnvironmentFolder) -> None:
    assert folder.live() is None
    assert folder.last_run() == 0
    assert folder.close(3) is None
    assert not folder.path.exists()


def test_a_later_run_shuts_earlier_ones_out_from_its_beginning(folder: EnvironmentFolder) -> None:
    first = placed(folder, 1)
    assert folder.enter(2) is None

    for act in (
        lambda: folder.switch(first),
        lambda: folder.roll_back(first, None),
        lambda: folder.prune(1, 5),
        lambda: folder.enter(1),
        lambda: folder.enter(2),
    ):
        with pytest.raises(Superseded):
            act()
    assert folder.live() is None


def test_a_rolled_back_newer_run_still_shuts_older_ones_out(folder: EnvironmentFolder) -> None:
    before = run(folder, 1)
    frozen = placed(folder, 2)
    newer = run(folder, 3)
    assert folder.roll_back(newer, before)

    with pytest.raises(Superseded):
        folder.switch(frozen)

    assert folder.live() == before


def test_a_run_taken_for_lost_changes_nothing_when_it_comes_back(folder: EnvironmentFolder) -> None:
    before = run(folder, 1)
    lost = run(folder, 2)

    assert folder.close(2) == lost
    assert folder.close(2) == lost  # twice is once
    with pytest.raises(Superseded):
        folder.roll_back(lost, before)

    assert folder.live() == lost
    assert folder.enter(3) == lost
    assert folder.close(2) == lost  # too late: the third run goes on
    folder.switch(Release(3, BUILD))


def test_a_roll_back_touches_only_its_own_release(folder: EnvironmentFolder) -> None:
    before = run(folder, 1)
    release = placed(folder, 2)

    assert not folder.roll_back(release, None)  # it has never switched
    assert folder.live() == before


def test_pruning_keeps_the_newest_and_the_live_one(folder: EnvironmentFolder) -> None:
    live = run(folder, 1)
    for sequence in range(2, 6):
        placed(folder, sequence)
    (folder.path / "releases" / ".9-x.part").mkdir()

    assert folder.prune(5, 3) == 2

    left = sorted(each.name.partition("-")[0] for each in (folder.path / "releases").iterdir())
    assert left == ["1", "4", "5"]
    assert folder.live() == live


def test_a_lock_that_somebody_holds_is_told(folder: EnvironmentFolder) -> None:
    folder.enter(1)
    holder = os.open(folder.path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with pytest.raises(Locked):
            folder.enter(2)
    finally:
        os.close(holder)
    folder.enter(2)


def test_links_that_are_not_ours_count_as_nothing_live(folder: EnvironmentFolder) -> None:
    folder.enter(1)
    for target in ("elsewhere", "releases/1-not-a-uuid", "releases/x"):
        (folder.path / "current").unlink(missing_ok=True)
        (folder.path / "current").symlink_to(target)
        assert folder.live() is None
    (folder.path / "run").write_text("rubbish")
    assert folder.last_run() == 0
    assert environments(folder.path.parent) == ["prod"]
    assert environments(folder.path / "missing") == []


def test_a_reader_never_misses_a_file_while_releases_change(folder: EnvironmentFolder) -> None:
    run(folder, 1)
    over = threading.Event()
    seen: list[int] = []
    failures: list[str] = []

    def read() -> None:
        while not over.is_set():
            try:
                seen.append(int((folder.path / "current" / "number").read_text()))
            except (OSError, ValueError) as error:
                failures.append(repr(error))

    reader = threading.Thread(target=read)
    reader.start()
    for sequence in range(2, 60):
        run(folder, sequence)
        folder.prune(sequence, 5)
    over.set()
    reader.join()

    assert failures == []
    assert seen == sorted(seen)
    assert seen
