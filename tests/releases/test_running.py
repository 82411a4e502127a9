"""Commands under their guard: whatever they do, nothing of them is left."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.core.clock import boot_seconds
from app.core.errors import AppError
from app.releases.running import Command, Ended, at_work, guarded
from tests.processes import ROOT
from tests.releases.processes import alive_below
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard finds orphans on Linux")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def shell(home: Path, script: str, disk_bytes: int = 1 << 30) -> Command:
    return Command(("sh", "-c", script), home, home, {"COLOUR": "red"}, disk_bytes)


async def run(command: Command, seconds: float = 20.0) -> tuple[Ended, bytes]:
    output = b""
    async with asyncio.timeout(seconds), guarded(command, lambda: boot_seconds() + 15) as running:
        while piece := await running.read():
            output += piece
        ended = await running.ended()
    assert alive_below(command.home) == []
    assert not at_work(command.home.parent)
    return ended, output


async def test_a_command_sees_its_own_environment_and_nothing_else(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hidden")

    ended, output = await run(Command(("env",), home, home, {"COLOUR": "red"}, 1 << 30))

    assert ended == Ended("exit", 0, 0)
    seen = dict(line.split("=", 1) for line in output.decode().splitlines())
    assert seen.pop("HOME") == str(home)
    assert seen.pop("COLOUR") == "red"
    assert set(seen) <= {"PATH", "LANG", "LC_CTYPE"}


FAILURES: dict[str, tuple[str, str, int]] = {  # script, code, at most so many seconds
    "status": ("echo bad >&2; exit 3", "exit_status", 5),
    "signal": ("kill -SEGV $$", "killed", 5),
    "background child": ("sleep 60 & exit 0", "left_processes", 5),
    "child in a session of its own": ("setsid sleep 60 & exit 0", "left_processes", 5),
    "orphan of an orphan": (
        "setsid sh -c '(setsid sleep 60 &) ; sleep 60' & exit 0",
        "left_processes",
        5,
    ),
    "one file without end": ("yes > file", "too_large", 15),
    "files without end": (
        "n=0; while :; do n=$((n+1)); head -c 1000000 /dev/zero > f$n; done",
        "too_large",
        15,
    ),
    "kills its guard, and is hard to find": (
        "setsid env -i sleep 60 & kill -9 $PPID; sleep 60",
        "guard_lost",
        5,
    ),
    "kills its guard": ("setsid sleep 60 & kill -9 $PPID; sleep 60", "guard_lost", 5),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_what_a_command_does_wrong_has_a_name(home: Path, name: str) -> None:
    script, code, seconds = FAILURES[name]

    ended, _ = await run(shell(home, script, disk_bytes=20_000_000), seconds)

    with pytest.raises(AppError) as failure:
        ended.check("It")
    assert failure.value.code == code
    assert not failure.value.retryable


async def test_a_command_that_is_not_there_is_told(home: Path) -> None:
    ended, _ = await run(Command(("no-such-program",), home, home, {}, 1 << 30))

    with pytest.raises(AppError, match="no-such-program: No such file") as failure:
        ended.check("It")
    assert failure.value.code == "not_started"


async def test_a_child_that_is_about_to_end_is_no_failure(home: Path) -> None:
    ended, _ = await run(shell(home, "sleep 0.3 & exit 0"))

    assert ended == Ended("exit", 0, 0)


@pytest.mark.parametrize(
    ("script", "at_least"),
    [("sleep 60", 0.0), ("trap '' TERM; setsid sleep 60 & while :; do sleep 1; done", 0.4)],
    ids=["obeys", "ignores SIGTERM"],
)
async def test_leaving_early_stops_everything(home: Path, script: str, at_least: float) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1), guarded(shell(home, script), _long) as running:
            await until(lambda: _runs(home))
            began = time.monotonic()
            await asyncio.sleep(0)
            await running.ended()

    assert alive_below(home) == []
    assert at_least <= time.monotonic() - began < 2.5


async def test_output_without_end_is_read_no_faster_than_it_is_used(home: Path) -> None:
    async with guarded(shell(home, "exec yes"), _long) as running:
        assert await running.read()
        await asyncio.sleep(0.3)

    assert alive_below(home) == []


async def test_a_lease_that_nobody_moves_on_ends_the_command(home: Path) -> None:
    ends = boot_seconds() + 0.6
    async with guarded(shell(home, "setsid sleep 60"), lambda: ends) as running:
        await until(lambda: _runs(home))
        async with asyncio.timeout(5):
            ended = await running.ended()

    assert ended.how == "lease"
    assert 0 <= boot_seconds() - ends < 1.5


HOLDER = """
import asyncio, sys
from pathlib import Path
from app.core.clock import boot_seconds
from app.releases.running import Command, guarded

async def main():
    home = Path(sys.argv[1])
    command = Command(("sh", "-c", sys.argv[2]), home, home, {}, 1 << 30)
    async with guarded(command, lambda: boot_seconds() + float(sys.argv[3])) as running:
        await running.ended()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("how", "lease", "seconds"),
    [(signal.SIGKILL, "60", 1.0), (signal.SIGSTOP, "1", 2.5)],
    ids=["killed", "frozen"],
)
async def test_nothing_outlives_a_worker(
    home: Path, how: signal.Signals, lease: str, seconds: float
) -> None:
    script = "trap '' TERM; setsid sleep 60 & sleep 60 & while :; do sleep 1; done"
    worker = _holder(home, script, lease)
    try:
        await until(lambda: _runs(home, 3))
        assert at_work(home.parent)
        worker.send_signal(how)
        began = time.monotonic()
        await until(lambda: _gone(home))
        assert time.monotonic() - began < seconds
        assert alive_below(home) == []
    finally:
        worker.kill()
        worker.wait()


def _holder(home: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    command: Sequence[str] = (sys.executable, "-c", HOLDER, str(home), *arguments)
    return subprocess.Popen(command, cwd=ROOT)


async def _runs(home: Path, count: int = 1) -> bool:
    return len(alive_below(home)) >= count


async def _gone(home: Path) -> bool:
    return not at_work(home.parent)


def _long() -> float:
    return boot_seconds() + 60


async def test_a_disk_that_is_nearly_full_ends_the_command(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "headway-test", str(tmp_path)],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    home = tmp_path / "home"
    home.mkdir()
    script = "n=0; while :; do n=$((n+1)); head -c 1000000 /dev/zero > f$n; sleep 0.005; done"
    try:
        ended, _ = await run(shell(home, script), 30)
        free = os.statvfs(tmp_path)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)

    with pytest.raises(AppError) as failure:
        ended.check("It")
    assert failure.value.code == "disk_full"
    assert free.f_bavail > 0
