"""The whole catalogue, open for a test, and browsers of every kind of patience."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.catalogue import JOBS
from app.main import Parts, create_app
from tests.api.conftest import Api, up_to_date
from tests.conftest import MakeSettings
from tests.harness import JobHarness

HERE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def api(make_settings: MakeSettings) -> AsyncIterator[Api]:
    app = create_app(make_settings(), parts=Parts(pending=up_to_date))
    async with app.router.lifespan_context(app):
        api = Api(app, app.state.services.resources)
        api.jobs = JobHarness(api.jobs.resources, JOBS)
        try:
            yield api
        finally:
            await api.aclose()


async def browser(api: Api, token: str) -> httpx.AsyncClient:
    """A client that has signed in through the form, as a browser without JavaScript does."""
    client = httpx.AsyncClient(
        transport=api.transport, base_url="http://127.0.0.1", follow_redirects=True, timeout=60
    )
    api._clients.append(client)
    page = await client.post("/dashboard/session", data={"token": token}, headers=HERE)
    assert page.status_code == 200, page.text
    return client
