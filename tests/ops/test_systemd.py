"""The units, by systemd's own judgement where it is installed, and by what they say elsewhere."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "deploy/systemd").glob("*.service"))
BIN = "/opt/headway/.venv/bin"
EXPOSURE = 2.0  # systemd's scale from 0 (safe) to 10; the unit we began with had 9.2
GRACE = 8 + 2  # seconds; SHUTDOWN_GRACE_SECONDS and what a worker needs beyond it

analyze = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(analyze is None, reason="systemd-analyze is not installed here")
each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


def service(unit: Path) -> dict[str, list[str]]:
    settings: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if found := re.match(r"([A-Z]\w+)=(.*)", line):
            settings.setdefault(found[1], []).append(found[2])
    return settings


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """The units as they are, but with binaries that exist on this machine."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("arq", "headway", "uvicorn"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    copies = []
    for unit in UNITS:
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace(BIN, str(programs)))
        copies.append(copy)
    return copies


def test_the_three_units_are_there() -> None:
    assert [unit.name for unit in UNITS] == [
        "headway-api.service",
        "headway-dbworker.service",
        "headway-worker.service",
    ]


@needs_systemd
def test_verify_has_nothing_to_say(installed: list[Path]) -> None:
    run = subprocess.run(
        [str(analyze), "verify", "--man=no", *map(str, installed)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


@needs_systemd
def test_exposure_is_low(installed: list[Path]) -> None:
    for unit in installed:
        run = subprocess.run(
            [str(analyze), "security", "--offline=true", "--no-pager", str(unit)],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (found := re.search(r"exposure level for \S+: (\d+\.\d+)", run.stdout)), run.stderr
        assert float(found[1]) <= EXPOSURE, unit.name


def test_commands_are_the_contracts() -> None:
    commands = {unit.stem: service(unit)["ExecStart"] for unit in UNITS}
    assert commands["headway-worker"] == [f"{BIN}/arq app.worker.tasks.WorkerSettings"]
    assert commands["headway-dbworker"] == [f"{BIN}/headway worker --engine database"]
    assert commands["headway-api"][0].startswith(f"{BIN}/uvicorn app.main:app --host 127.0.0.1 ")


@each_unit
def test_a_unit_restarts_whatever_happens_but_a_bad_setting(unit: Path) -> None:
    settings = service(unit)
    assert settings["Restart"] == ["always"]
    assert settings["RestartPreventExitStatus"] == ["2"]  # 75, the watchdog's, is restarted
    assert settings["StartLimitIntervalSec"] == ["0"]
    assert settings["User"] == settings["Group"] == settings["StateDirectory"] == ["headway"]
    assert settings["EnvironmentFile"] == ["/etc/headway/headway.env"]
    assert "MemoryMax" in settings
    assert "TasksMax" in settings


@each_unit
def test_a_unit_is_given_time_to_stop(unit: Path) -> None:
    settings = service(unit)
    assert settings["KillMode"] == ["mixed"]
    assert int(settings["TimeoutStopSec"][0]) > GRACE + 5


@pytest.mark.parametrize("name", ["headway-worker", "headway-dbworker"])
def test_a_worker_sees_its_siblings_and_survives_its_children(name: str) -> None:
    """What hides processes or the boot id would make live workers look dead."""
    settings = service(next(unit for unit in UNITS if unit.stem == name))
    assert settings["OOMPolicy"] == ["continue"]
    assert not {"ProtectProc", "ProcSubset", "PrivateUsers", "PrivatePIDs"} & set(settings)


@needs_systemd
@each_unit
def test_children_may_be_limited_and_tied_to_their_parent(unit: Path) -> None:
    allowed, denied = set[str](), set[str]()
    for line in service(unit)["SystemCallFilter"]:
        target = denied if line.startswith("~") else allowed
        for group in line.removeprefix("~").split():
            target |= members(group)
    for call in ("prlimit64", "prctl", "clone3", "setsid", "kill", "memfd_create"):
        assert call in allowed - denied, call


def members(group: str) -> set[str]:
    run = subprocess.run(
        [str(analyze), "syscall-filter", group], capture_output=True, text=True, timeout=30
    )
    words = [line.strip() for line in run.stdout.splitlines()[1:]]
    names = {word for word in words if word and not word.startswith(("#", "@"))}
    return names.union(*(members(word) for word in words if word.startswith("@")))


def test_the_example_environment_is_one_that_systemd_and_headway_both_read() -> None:
    lines = UNITS[0].with_name("headway.env.example").read_text().splitlines()
    parser = configparser.ConfigParser(interpolation=None, delimiters="=", comment_prefixes="#")
    parser.read_string("\n".join(["[env]", *lines]))
    assert {"database_url", "redis_url", "secret_key", "data_dir", "backup_roots"} <= set(
        parser["env"]
    )
    assert "queue_name" not in parser["env"]  # it would win over a unit's own


def test_snippets_make_the_user_and_keep_the_settings_private() -> None:
    folder = UNITS[0].parent
    assert "u headway - " in (folder / "headway.sysusers.conf").read_text()
    assert (
        "z /etc/headway/headway.env 0640 root headway -"
        in (folder / "headway.tmpfiles.conf").read_text()
    )
