"""What is kept and what is read of a recipe's output; and which files are its artifacts."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import Invalid
from app.releases import artifacts
from app.releases.artifacts import find_artifacts
from app.releases.build_log import BuildLog, Piece, joined
from app.releases.progress import Progress


class Shelf:
    """Keeps pieces as the table does."""

    def __init__(self, head: int) -> None:
        self.head = head
        self.pieces: dict[int, Piece] = {}

    def store(self, log: BuildLog) -> None:
        write = log.pending()
        if write is None:
            return
        self.pieces |= {piece.position: piece for piece in write.pieces}
        self.pieces = {
            at: piece
            for at, piece in self.pieces.items()
            if at < self.head or piece.end > write.forget_before
        }
        log.stored(write)

    @property
    def text(self) -> str:
        return joined(self.pieces[at] for at in sorted(self.pieces))


@pytest.mark.parametrize("seed", range(20))
def test_the_beginning_and_the_end_are_kept(seed: int) -> None:
    dice = random.Random(seed)
    log, shelf, whole = BuildLog(head=100, tail=200), Shelf(100), b""

    for _ in range(dice.randrange(1, 60)):
        content = bytes(dice.choices(b"abcdefgh", k=dice.randrange(1, dice.choice([20, 700]))))
        log.feed(content)
        whole += content
        if dice.random() < 0.5:
            shelf.store(log)
    shelf.store(log)

    text, told = shelf.text, whole.decode()
    assert log.size == len(whole)
    assert log.pending() is None
    if len(whole) <= 300:
        assert text == told
    else:
        assert text.startswith(told[:100])
        assert text.endswith(told[-200:])
        assert sum(len(piece.content) for piece in shelf.pieces.values()) <= 100 + 2 * 200 + 700


def test_what_was_left_out_is_told() -> None:
    pieces = [Piece(0, b"begin"), Piece(1_005, b"\xffend\0")]

    assert joined(pieces) == "begin\n[1,000 bytes left out]\n\ufffdend\ufffd"


def told(progress: Progress) -> tuple[int, int | None]:
    return progress.done, progress.total


def test_progress_is_read_from_both_forms_also_in_parts() -> None:
    progress = Progress()

    progress.feed(b"\x1b[1m[3/1")
    assert told(progress) == (0, None)
    progress.feed(b"0] compiling\x1b[0m\nrest")
    assert told(progress) == (3, 10)
    assert progress.message == "[3/10] compiling"
    progress.feed(b" of it\rheadway-progress: 42.7 %\r\n\n  \n")
    assert told(progress) == (42, 100)
    assert progress.message == "headway-progress: 42.7 %"
    progress.feed(b"[7/0] [9/3] headway-progress: 999\nthe last\0 line \xff")
    assert told(progress) == (100, 100)
    progress.close()
    assert progress.message == "the last  line \N{REPLACEMENT CHARACTER}"


def test_a_line_without_an_end_costs_no_memory() -> None:
    progress = Progress()
    for _ in range(100):
        progress.feed(b"x" * 10_000)

    assert len(progress._line) <= 4096
    progress.close()
    assert progress.message == "x" * 200


def test_patterns_find_files_once_and_folders_whole(tmp_path: Path) -> None:
    (tmp_path / "dist" / "deep").mkdir(parents=True)
    for name in ("dist/a.txt", "dist/deep/b.txt", "c.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "dist" / "same.txt").symlink_to("a.txt")

    found = find_artifacts(tmp_path, ["dist", "dist/**", "*.txt"])

    assert [each.path for each in found] == [
        "c.txt",
        "dist/a.txt",
        "dist/deep/b.txt",
        "dist/same.txt",
    ]
    assert all(not each.file.is_symlink() for each in found)


def test_what_cannot_be_kept_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def code(*patterns: str) -> str:
        with pytest.raises(Invalid) as refused:
            find_artifacts(tmp_path, patterns)
        return refused.value.code

    assert code("nothing") == "no_artifacts"
    (tmp_path / "empty").mkdir()
    assert code("empty") == "no_artifacts"
    (tmp_path / "loop").symlink_to("loop")
    assert code("loo*") == "artifact_outside"
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "up").symlink_to("..")
    assert code("inside") == "artifact_special"
    with monkeypatch.context() as closed:
        closed.setattr("os.walk", _closed)  # to root no folder is
        assert code("empty") == "artifact_unreadable"
    Path(str(tmp_path) + "/bad\udcff").write_text("")
    assert code("bad*") == "artifact_name"
    monkeypatch.setattr(artifacts, "MOST_FILES", 3)
    for number in range(4):
        (tmp_path / f"n{number}").touch()
    assert code("n?") == "too_many_files"


def _closed(path: Path, onerror: Callable[[OSError], None]) -> Iterator[Any]:
    onerror(PermissionError(13, "Permission denied", str(path)))
    return iter(())
