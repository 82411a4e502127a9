"""A house with a sample backup in front of it, on each database."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from app.backups import domain_run
from app.backups.jobs import index_backup, purge_backup
from app.backups.routes import router
from app.backups.sample import make_backup
from app.jobs.spec import Registry
from app.main import Parts, create_app
from app.resources import open_resources
from app.search.routes import router as search
from tests.backups.house import BATCH, ROWS, House
from tests.backups.site import Site, up_to_date
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


@pytest.fixture
async def site(make_settings: MakeSettings, sample: Sample, tmp_path: Path) -> AsyncIterator[Site]:
    root = tmp_path / "roots"
    root.mkdir()
    parts = Parts(
        registry=Registry([index_backup, purge_backup]),
        routers=[router, search],
        pending=up_to_date,
    )
    app = create_app(make_settings(backup_roots=(root,)), parts=parts)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        house = House(app.state.services.resources, sample[0], root)
        yield Site(house, sample[1], stack, app)
