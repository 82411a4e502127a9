from collections.abc import AsyncIterator

import pytest

from app.settings import Settings
from tests.releases.site import Site, open_site


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    async with open_site(settings) as site:
        yield site
