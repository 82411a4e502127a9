"""A house with a sample backup in front of it, on each database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.backups import domain_run
from app.backups.sample import make_backup
from app.resources import open_resources
from tests.backups.house import BATCH, ROWS, House
from tests.conftest import MakeSettings

Sample = tuple[Path, dict[str, int]]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A backup that must not be changed, and what a reader must find in it."""
    folder = tmp_path_factory.mktemp("sample") / "00008110-000A1D2E3F4A801E"
    return folder, make_backup(folder, messages=ROWS)


@pytest.fixture
def truth(sample: Sample) -> dict[str, int]:
    return sample[1]


@pytest.fixture
async def house(
    make_settings: MakeSettings, sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    monkeypatch.setattr(domain_run, "BATCH", BATCH)
    root = tmp_path / "roots"
    root.mkdir()
    async with open_resources(make_settings(backup_roots=(root,))) as resources:
        yield House(resources, sample[0], root)
