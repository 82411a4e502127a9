"""Token reservations: made, settled, expired; and their sums, whatever happens at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text, update

from app import migrate
from app.chaos.servers import Postgres
from app.core.clock import utcnow
from app.core.db import Database
from app.settings import Settings
from app.usage import jobs as usage_jobs
from app.usage.jobs import CleanupReservations, cleanup_reservations
from app.usage.models import TokenReservation
from app.usage.routes import router
from tests.conftest import MakeSettings
from tests.site import Site, open_site

ROOM = "/workspaces/research"


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    async with open_site(settings, [router], [cleanup_reservations]) as opened:
        yield opened


async def reserve(client: httpx.AsyncClient, tokens: int, room: str = ROOM) -> str:
    answer = await client.post(f"{room}/reservations", json={"tokens": tokens})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["reservation_id"])


async def settle(client: httpx.AsyncClient, which: str, used: int) -> Any:
    answer = await client.post(f"{ROOM}/reservations/{which}/settle", json={"tokens_used": used})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def totals(client: httpx.AsyncClient, **query: str) -> tuple[int, int]:
    """Tokens used and reserved."""
    found = (await client.get(f"{ROOM}/usage", params=query)).json()
    assert found["workspace"] == "research"
    return found["tokens_used"], found["tokens_reserved"]


async def age(site: Site, seconds: float) -> None:
    """Make every reservation so much older."""
    async with site.resources.db.transaction() as session:
        older = utcnow() - timedelta(seconds=seconds)
        await session.execute(update(TokenReservation).values(created_at=older))


async def test_what_is_reserved_and_used_is_seen_in_the_days_totals(site: Site) -> None:
    assert await totals(site.alice) == (0, 0)

    first, second = await reserve(site.alice, 1000), await reserve(site.alice, 500)
    assert await totals(site.alice) == (0, 1500)

    settled = await settle(site.alice, first, 1200)
    assert await totals(site.alice) == (1200, 500)
    assert settled == {
        "reservation_id": first,
        "workspace": "research",
        "day": utcnow().date().isoformat(),
        "status": "settled",
        "tokens": 1000,
        "tokens_used": 1200,
    }
    await settle(site.alice, second, 0)
    assert await totals(site.alice) == (1200, 0)
    assert await totals(site.alice, day="2020-02-29") == (0, 0)


async def test_settling_twice_is_settling_once(site: Site) -> None:
    which = await reserve(site.alice, 1000)

    answers = [await settle(site.alice, which, used) for used in (300, 300, 999)]

    assert answers[0] == answers[1] == answers[2]
    assert await totals(site.alice) == (300, 0)


async def test_a_hundred_at_once_lose_nothing(site: Site) -> None:
    """Half of the settlements come twice, and twice at once."""
    reserved = await asyncio.gather(*(reserve(site.alice, n) for n in range(1, 101)))
    assert await totals(site.alice) == (0, 5050)

    asked = [settle(site.alice, which, n) for n, which in enumerate(reserved, 1)]
    again = [settle(site.alice, which, n) for n, which in enumerate(reserved, 1) if n % 2]
    await asyncio.gather(*asked, *again)

    assert await totals(site.alice) == (5050, 0)


async def test_reserving_settling_and_expiring_at_once_lose_nothing(site: Site) -> None:
    """Each reservation is either settled or expired first; the sums hold in any order."""
    reserved = [await reserve(site.alice, 10) for _ in range(40)]
    await age(site, 700)
    asked = [settle(site.alice, which, 3) for which in reserved[:20]]
    made = [reserve(site.alice, 7) for _ in range(20)]

    *_others, row = await asyncio.gather(*asked, *made, site.jobs.run(CleanupReservations()))

    assert row.status == "completed"
    assert 20 <= row.result["affected"] <= 40
    assert await totals(site.alice) == (20 * 3, 20 * 7)


async def test_only_what_is_held_longer_than_the_ttl_is_freed(site: Site) -> None:
    settled = await reserve(site.alice, 1)
    await settle(site.alice, settled, 1)
    for tokens in (10, 20):
        await reserve(site.alice, tokens)
    await age(site, 601)
    await reserve(site.alice, 40)

    rows = [await site.jobs.run(CleanupReservations()) for _ in range(2)]

    assert [row.result for row in rows] == [{"affected": 2}, {"affected": 0}]
    assert [row.processed_items for row in rows] == [2, 0]
    assert await totals(site.alice) == (1, 40)


async def test_a_settlement_after_the_expiry_counts_what_was_used_and_frees_nothing(
    site: Site,
) -> None:
    late, held = await reserve(site.alice, 100), await reserve(site.alice, 1)
    await age(site, 601)
    async with site.resources.db.transaction() as session:
        fresh = update(TokenReservation).where(TokenReservation.id == held)
        await session.execute(fresh.values(created_at=utcnow()))
    await site.jobs.run(CleanupReservations())
    assert await totals(site.alice) == (0, 1)

    answers = [await settle(site.alice, late, 60) for _ in range(2)]

    assert answers[0] == answers[1]
    assert await totals(site.alice) == (60, 1)


async def test_a_workspace_belongs_to_who_uses_it(site: Site) -> None:
    which = await reserve(site.alice, 100)
    await reserve(site.bob, 7)

    where = f"{ROOM}/reservations/{which}/settle"
    refused = await site.bob.post(where, json={"tokens_used": 1})
    elsewhere = await site.alice.post(
        f"/workspaces/other/reservations/{which}/settle", json={"tokens_used": 1}
    )

    assert [refused.status_code, elsewhere.status_code] == [404, 404]
    assert [await totals(each) for each in (site.alice, site.bob, site.admin)] == [
        (0, 100),
        (0, 7),
        (0, 107),
    ]
    assert (await site.admin.post(where, json={"tokens_used": 1})).status_code == 200


@pytest.mark.parametrize("tokens", [0, -1, 1.5, "5", True, 10**13, None])
async def test_nonsense_is_refused(site: Site, tokens: Any) -> None:
    refused = await site.alice.post(f"{ROOM}/reservations", json={"tokens": tokens})

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "tokens"


async def test_a_repeated_request_with_its_key_reserves_once(site: Site) -> None:
    how: dict[str, Any] = {"json": {"tokens": 5}, "headers": {"Idempotency-Key": "k"}}

    answers = [await site.alice.post(f"{ROOM}/reservations", **how) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert await totals(site.alice) == (0, 5)


async def test_the_importable_function_returns_how_many_it_freed(
    site: Site, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reserve(site.alice, 5)
    await age(site, 61)
    for name, value in (("DATABASE_URL", make_settings().database_url), ("DATA_DIR", "/nowhere")):
        monkeypatch.setenv(name, value)
    assert await usage_jobs.cleanup_stale_reservations() == 0

    monkeypatch.setenv("RESERVATION_TTL_SECONDS", "60")
    freed = [await usage_jobs.cleanup_stale_reservations() for _ in range(2)]

    assert freed == [1, 0]
    assert await totals(site.alice) == (0, 0)


_SQLITE = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
OURS = ("token_reservations", "note_words")
_POSTGRESQL = """
SELECT tgname, pg_get_triggerdef(t.oid), pg_get_functiondef(tgfoid) FROM pg_trigger t
WHERE NOT tgisinternal ORDER BY tgname"""


async def triggers(db: Database) -> list[Any]:
    async with db.reading() as session:
        found = await session.execute(text(_SQLITE if db.is_sqlite else _POSTGRESQL))
        return [tuple(row) for row in found if row[0].startswith(OURS)]


async def test_the_migration_makes_the_triggers_that_the_models_make(
    db: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'migrated.db'}"
    if not db.is_sqlite:
        server: Postgres = request.getfixturevalue("postgres")
        server.psql(f"CREATE DATABASE migrated_{tmp_path.name.lower()}")
        url = server.url(f"migrated_{tmp_path.name.lower()}")
    migrated = Database(url)
    await migrate.upgrade(migrated)
    try:
        assert await triggers(migrated) == await triggers(db)
        assert len(await triggers(db)) == (5 if db.is_sqlite else 2)
    finally:
        await migrated.close()
