"""The application with notes and reminders, and the post office that its mails go to."""

from collections.abc import AsyncIterator

import pytest

from app.notes.jobs import regenerate_embeddings, send_reminders
from app.notes.routes import notes, reminders, semantic
from tests.conftest import MakeSettings
from tests.mail.post_office import PostOffice, open_post_office
from tests.site import Site, open_site


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with open_post_office() as opened:
        yield opened


@pytest.fixture
async def site(make_settings: MakeSettings, office: PostOffice) -> AsyncIterator[Site]:
    settings = make_settings(
        smtp_url=office.url, mail_from="headway@example.org", mail_allowed=r".*@example\.com"
    )
    async with open_site(
        settings, [notes, semantic, reminders], [regenerate_embeddings, send_reminders]
    ) as opened:
        yield opened
