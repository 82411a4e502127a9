"""The texts name what exists, all of it, and what they show works."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic_settings import DotEnvSettingsSource
from typer.main import get_command

from app.catalogue import JOBS
from app.cli import _COMMANDS
from app.resources import Resources
from app.settings import Settings
from docs import generate
from tests.harness import JobHarness

TOP = Path(__file__).parents[2]
README = TOP / "README.md"
CONTRIBUTING = TOP / "CONTRIBUTING.md"
TEXTS = [README, CONTRIBUTING, TOP / "CHANGELOG.md", *sorted((TOP / "docs").rglob("*.md"))]
SCRIPTS: dict[str, str] = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["scripts"]
each_text = pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(TOP)))


def everything() -> str:
    return "\n".join(path.read_text() for path in (README, *(TOP / "docs").rglob("*.md")))


# ------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("name", generate.FILES)
def test_generated_files_are_up_to_date(name: str) -> None:
    assert (TOP / name).read_text() == generate.FILES[name](), "python -m docs.generate"


def test_every_setting_is_documented() -> None:
    table, example = (TOP / name for name in generate.FILES)
    for name in Settings.model_fields:
        assert f"| `{generate.variable(name)}` |" in table.read_text()
        assert f"\n# {generate.variable(name)}=" in example.read_text()


def test_the_example_holds_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(generate.variable(name), raising=False)
    monkeypatch.delenv("IOS_BACKUP_REDIS__URL", raising=False)
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "copied"
    copy.write_text(re.sub(r"(?m)^# (?=[A-Z_]+=)", "", (TOP / ".env.example").read_text()))

    assert DotEnvSettingsSource(Settings, copy)()  # something was read
    assert Settings(_env_file=copy) == Settings(_env_file=None)


def test_every_setting_is_read_by_some_code() -> None:
    code = "\n".join(path.read_text() for path in (TOP / "app").rglob("*.py"))
    unread = [name for name in Settings.model_fields if not re.search(rf"\.{name}\b", code)]
    assert not unread


# ---------------------------------------------------------------------------- jobs and commands


def test_every_kind_of_job_is_named() -> None:
    for job in JOBS:
        assert f"`{job.kind}`" in everything(), job.kind


def commands() -> Iterator[str]:
    """Every command of the console scripts, with its sub-commands."""
    yield from (name for name in SCRIPTS if name != "headway")
    for name, (module, _help) in _COMMANDS.items():
        command = get_command(import_module(f"app.cli.{module}").app)
        below: list[str] = list(getattr(command, "commands", ()))
        yield from (f"headway {name} {each}" for each in below)
        if not below:
            yield f"headway {name}"


def test_every_command_is_named() -> None:
    for command in commands():
        assert re.search(rf"\b{command}\b", everything()), command


def shell_lines(path: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("path", [README, CONTRIBUTING], ids=lambda path: path.name)
def test_commands_that_are_shown_exist(path: Path) -> None:
    known = list(commands())
    targets = set(re.findall(r"^([a-z-]+):.*## ", (TOP / "Makefile").read_text(), re.MULTILINE))
    lines = shell_lines(path)
    assert lines
    for line in lines:
        for found in re.findall(r"(?:^|[$(;&] ?)(headway [a-z -]+|ios-backup-worker)", line):
            assert any(re.match(rf"{command}\b", found) for command in known), line
        if line.startswith("make "):
            assert line.split()[1] in targets, line
        for module in re.findall(r"python -m ([a-z.]+)", line):
            assert (TOP / (module.replace(".", "/") + ".py")).exists() or module == "pytest", line
        for named in re.findall(r"(?<![\w/.])tests/[\w/.]+", line):
            assert (TOP / named).exists(), line


@each_text
def test_commands_in_running_text_exist(path: Path) -> None:
    known = list(commands())
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for named in re.findall(r"`(headway [^`]+)`", text):
        above = any(command.startswith(f"{named} ") for command in known)  # `headway maintenance`
        assert above or any(re.match(rf"{command}\b", named) for command in known), named


@each_text
def test_what_a_text_points_to_is_there(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:)([^)#:]+)", text):
        assert (path.parent / target).exists(), target
    for named in re.findall(r"`((?:app|tests|docs|deploy|migrations|benchmarks)/[\w/.-]+)`", text):
        assert (TOP / named).exists(), named


@each_text
def test_nothing_names_a_build_machine_or_a_registry(path: Path) -> None:
    assert not re.search(r"/(work|root)/|/tmp/|pypi\.|docker\.io|ghcr\.io|127\.0\.0\.1:[34]\d{4}",
                         path.read_text())  # fmt: skip


def test_decisions_have_their_four_parts() -> None:
    decisions = sorted((TOP / "docs/decisions").glob("*.md"))
    numbers = [path.name[:4] for path in decisions]  # domains have blocks of their own
    assert all(map(str.isdigit, numbers))
    assert len(set(numbers)) == len(numbers)
    for path in decisions:
        assert path.read_text().startswith(f"# {path.name[:4]} ")
        headings = re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives"], path.name


# -------------------------------------------------------------------- the job of CONTRIBUTING.md


def shown_job() -> str:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", CONTRIBUTING.read_text(), re.DOTALL)
    (code,) = [block for block in blocks if "@job(" in block]
    return code


def defined(code: str) -> dict[str, Any]:
    module = ModuleType("shown")
    exec(code, vars(module))
    return vars(module)


async def test_the_job_that_contributing_shows_runs(resources: Resources) -> None:
    names = defined(shown_job())
    job, args = names["greet"], names["Greet"](name="Ada")

    row = await JobHarness(resources, [job]).run(args)

    assert (row.status, row.progress_percent) == ("completed", 100)
    assert row.result == {"greeting": f"Hello, Ada, from job {row.id}."}


def test_the_job_that_contributing_shows_passes_the_checks() -> None:
    ruff = [str(Path(sys.executable).with_name("ruff")), "--quiet"]
    for how in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [ruff[0], *how, "--stdin-filename", "app/greetings/jobs.py", "-"],
            input=shown_job(),
            cwd=TOP,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_job_that_contributing_shows_has_five_lines() -> None:
    _imports, code = shown_job().split("\n\n\n", 1)
    lines = [line.strip() for line in code.splitlines()]
    assert len([line for line in lines if line and not line.startswith('"""')]) == 5
