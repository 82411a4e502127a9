"""Private folders that do not outlive their owner, and sealed secrets."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.scratch import private_folder, sweep
from app.core.sealing import seal, unseal

_OWNER = """
import sys, time
from pathlib import Path
from app.core.scratch import private_folder
with private_folder(Path(sys.argv[1])) as folder:
    (folder / "secret").write_text("clear")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_folder_is_private_and_goes_at_the_end(tmp_path: Path) -> None:
    with private_folder(tmp_path / "scratch") as folder:
        (folder / "deep").mkdir()
        assert folder.stat().st_mode & 0o77 == 0
        assert sweep(tmp_path / "scratch") == 0
        assert folder.is_dir()

    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_error_does_not_leave_it_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), private_folder(tmp_path):
        raise RuntimeError

    assert list(tmp_path.iterdir()) == []


def test_a_killed_owner_leaves_it_to_the_next_start(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert sweep(tmp_path) == 0
        assert (folder / "secret").exists()
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
        assert (folder / "secret").exists()

    assert sweep(tmp_path) == 1

    assert list(tmp_path.iterdir()) == []
    assert sweep(tmp_path / "never made") == 0


def test_what_is_sealed_opens_with_its_key_and_in_its_place_only() -> None:
    key = b"k" * 32
    sealed = seal(key, "pässword", "job 1")

    assert unseal(key, sealed, "job 1") == "pässword"
    assert b"ssword" not in sealed
    assert sealed != seal(key, "pässword", "job 1")
    assert unseal(b"other" * 8, sealed, "job 1") is None
    assert unseal(key, sealed, "job 2") is None
    assert unseal(key, sealed[:-1] + b"\0", "job 1") is None
    assert unseal(key, b"", "job 1") is None
