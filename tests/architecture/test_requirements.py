"""What is installed: locked with hashes, from no named index, under licences that we may use."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parents[2]
RUN, DEV = TOP / "requirements/run.txt", TOP / "requirements/dev.txt"
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
each_file = pytest.mark.parametrize("path", [RUN, DEV], ids=lambda path: path.name)


def locked(path: Path) -> list[tuple[Requirement, list[str]]]:
    """Every requirement of a lock with the options that follow it."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    found = []
    for line in filter(None, map(str.strip, whole.splitlines())):
        named, *options = re.split(r"\s+(?=--)", line)
        found.append((Requirement(named), options))
    return found


def versions(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for requirement, _options in locked(path):
        version = str(requirement.specifier).removeprefix("==")
        found.setdefault(canonicalize_name(requirement.name), set()).add(version)
    return found


@each_file
def test_every_requirement_is_one_version_with_hashes(path: Path) -> None:
    assert locked(path)
    for requirement, options in locked(path):
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert options, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in options), requirement


@each_file
def test_no_index_is_named(path: Path) -> None:
    assert not re.search(
        r"://|--(extra-)?index-url|--find-links|--trusted-host|^-[ifr] ",
        path.read_text(),
        re.MULTILINE,
    )


def _wanted(names: list[str]) -> list[Requirement]:
    return [Requirement(name) for name in names]


def test_every_dependency_is_locked() -> None:
    for path, wanted in (
        (RUN, PROJECT["dependencies"]),
        (DEV, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]),
    ):
        there = versions(path)
        for requirement in _wanted(wanted):
            found = there.get(canonicalize_name(requirement.name))
            assert found, f"{requirement} is not in {path.name}: make lock"
            assert all(requirement.specifier.contains(version) for version in found), requirement


def test_development_adds_to_what_runs_and_changes_nothing() -> None:
    run, dev = versions(RUN), versions(DEV)
    assert {name: dev.get(name) for name in run} == run


def test_what_builds_the_package_is_locked_too() -> None:
    build = tomllib.loads((TOP / "pyproject.toml").read_text())["build-system"]["requires"]
    for requirement in _wanted(build):
        assert canonicalize_name(requirement.name) in versions(RUN), requirement


def test_no_licence_reaches_beyond_its_own_package() -> None:
    for name in versions(RUN):
        try:
            facts = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform
        told = (facts.get_all("License-Expression") or []) + (facts.get_all("License") or [])
        told += [one for one in facts.get_all("Classifier") or [] if one.startswith("License ::")]
        reaching = r"\bA?GPL|Affero|(?<!Lesser )General Public"
        assert not re.search(reaching, "\n".join(told)[:2000]), name
