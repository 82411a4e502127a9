"""Files are opened by the walk that checks them."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.backups.parsers.errors import ListedButMissing
from app.backups.parsers.pinning import descriptors, insist_on, pinned
from app.backups.parsers.source import Source


def database(path: Path, word: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (word TEXT)")
        db.execute("INSERT INTO t VALUES (?)", (word,))
        db.commit()
    return path


def test_a_pinned_file_stays_itself_whatever_its_name_leads_to(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.write_text("mine")
    theirs.write_text("theirs")

    with pinned(mine) as same:
        mine.unlink()
        mine.symlink_to(theirs)

        assert same.read_text() == "mine"


def test_a_link_anywhere_on_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    database(tmp_path / "theirs/a.db", "secret")
    (tmp_path / "folder").symlink_to(tmp_path / "theirs")
    (tmp_path / "file.db").symlink_to(tmp_path / "theirs/a.db")

    for path in (tmp_path / "folder/a.db", tmp_path / "file.db"):
        with pytest.raises(OSError, match=r"link|directory"), pinned(path):
            pass
        with pytest.raises(ListedButMissing):
            Source(path)


def test_a_database_that_was_exchanged_while_it_was_opened_is_noticed(tmp_path: Path) -> None:
    mine = database(tmp_path / "mine.db", "mine")
    theirs = database(tmp_path / "theirs.db", "theirs")
    if not descriptors():
        pytest.skip("this system does not tell what is open")

    with pinned(mine) as same:
        before = descriptors()
        foreign = os.open(theirs, os.O_RDONLY)
        with pytest.raises(FileNotFoundError):
            insist_on(same, before)
        os.close(foreign)
        right = os.open(mine, os.O_RDONLY)
        insist_on(same, before)
        os.close(right)
