"""Who may call, and what they see."""

import re
from asyncio import gather
from asyncio import sleep as asyncio_sleep
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from app.api.auth import create_token, hash_of, list_tokens, revoke_token
from app.api.openapi import operations
from app.core.db import Database
from app.core.errors import Conflict, Invalid, NotFound
from tests.api.conftest import Api, OpenApi, ask

_NO_TOKEN = (
    None,
    b"",
    b"Bearer",
    b"Bearer ",
    b"Bearer hw_0",
    b"Basic YTpi",
    b"hw_x",
    b"Bearer \xff",
)
_OPEN = ("/healthz", "/readyz", "/metrics")


async def test_only_the_hash_of_a_token_is_stored(db: Database) -> None:
    async with db.transaction() as session:
        token = await create_token(session, "ann", days=2)
        second = await create_token(session, "ann", admin=True)
        listed = await list_tokens(session)
        stored = (await session.execute(text("SELECT token_hash FROM tokens"))).scalars().all()

    assert re.fullmatch(r"hw_[A-Za-z0-9_-]{43}", token)
    assert set(stored) == {hash_of(token), hash_of(second)}
    assert [(each["user"], each["admin"]) for each in listed] == [("ann", True)] * 2
    assert listed[0]["hint"] == token[-4:]
    assert listed[0]["expires_at"] - listed[0]["created_at"] == timedelta(days=2)
    assert token not in str(listed)


async def test_a_token_is_revoked_by_the_beginning_of_its_id(db: Database) -> None:
    async with db.transaction() as session:
        await create_token(session, "ann")
        await create_token(session, "ann")
        first, second = [each["id"] for each in await list_tokens(session)]
        same = 0
        while str(first)[same] == str(second)[same]:
            same += 1

        assert await revoke_token(session, str(first)[: same + 1]) == first
        assert await revoke_token(session, second) == second
        if same >= 4:
            with pytest.raises(Conflict):
                await revoke_token(session, str(first)[:same])
        with pytest.raises(NotFound):
            await revoke_token(session, str(uuid4()))
        with pytest.raises(Invalid):
            await revoke_token(session, "0")
        assert all(each["revoked_at"] for each in await list_tokens(session))


async def test_a_name_must_be_plain(db: Database) -> None:
    async with db.transaction() as session:
        for name in ("", "..", "../x", "a/b", "a b", "x" * 65, "a\0"):
            with pytest.raises(Invalid):
                await create_token(session, name)


async def test_without_a_live_token_everything_is_401(api: Api) -> None:
    for authorization in _NO_TOKEN:
        stranger = api.client()
        if authorization is not None:
            stranger.headers = httpx.Headers([(b"authorization", authorization)])
        for path, method, _ in operations(api.app.openapi()):
            if path in _OPEN:
                continue
            address = path.replace("{job_id}", str(uuid4()))
            answer = await stranger.request(method, address, json={"items": 1})
            assert answer.status_code == 401, (method, path, authorization)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/problem+json"


async def test_expired_and_revoked_tokens_are_dead(api: Api) -> None:
    short = await api.user("ann", days=1e-9)
    async with api.db.transaction() as session:
        token = await create_token(session, "bob")
        listed = await list_tokens(session)
        await revoke_token(session, listed[-1]["id"])

    assert (await short.get("/jobs")).status_code == 401
    assert (await api.bearer(token).get("/jobs")).status_code == 401


async def test_a_token_seen_before_is_dead_within_five_seconds(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.tokens._SECONDS", 0.2)
    ann = await api.user("ann")
    assert (await ann.get("/jobs")).status_code == 200

    async with api.db.transaction() as session:
        await revoke_token(session, (await list_tokens(session))[0]["id"])

    assert (await ann.get("/jobs")).status_code == 200
    await asyncio_sleep(0.25)
    assert (await ann.get("/jobs")).status_code == 401


async def test_anothers_job_is_404_on_every_route_with_an_id(
    api: Api, ann: httpx.AsyncClient, bob: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    job_id = await ask(ann)
    walked = 0

    for path, method, _ in operations(api.app.openapi()):
        if "{" not in path:
            continue
        address = re.sub(r"\{\w+\}", str(job_id), path)
        his = await bob.request(method, address)
        nobodys = await bob.request(method, address.replace(str(job_id), str(uuid4())))
        assert (his.status_code, nobodys.status_code) == (404, 404), (method, path)
        assert his.json()["detail"] == nobodys.json()["detail"]
        walked += 1

    assert walked >= 4
    assert (await ann.get(f"/jobs/{job_id}")).json()["status"] == "queued"
    assert (await admin.get(f"/jobs/{job_id}")).status_code == 200
    assert (await admin.post(f"/jobs/{job_id}/cancel")).status_code == 202


async def test_a_304_is_never_another_users(ann: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    job_id = await ask(ann)
    tag = (await ann.get(f"/jobs/{job_id}")).headers["etag"]

    assert (await bob.get(f"/jobs/{job_id}", headers={"If-None-Match": tag})).status_code == 404


async def test_workers_are_the_admins(
    api: Api, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    async with api.jobs.on_shift() as worker:
        answer = (await admin.get("/workers")).json()
        refused = await ann.get("/workers")

    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert answer["total"] == 1
    assert answer["workers"][0]["id"] == worker.id
    assert set(answer["workers"][0]) >= {"host", "engine", "queues", "running", "last_seen_at"}


async def test_requests_for_work_are_limited_per_minute(open_api: OpenApi) -> None:
    async with open_api(rate_limit_per_minute=3) as api:
        ann, bob = await api.user("ann"), await api.user("bob")
        ids: list[UUID] = [await ask(ann) for _ in range(3)]

        refused = await ann.post("/counts", json={"items": 1})
        await ask(bob)
        read = await ann.get(f"/jobs/{ids[0]}")

        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 50 <= int(refused.headers["retry-after"]) <= 60
        assert read.status_code == 200


async def test_active_jobs_are_limited(open_api: OpenApi) -> None:
    async with open_api(max_active_jobs_per_user=2) as api:
        ann = await api.user("ann")
        first = await ann.post("/counts", json={"items": 1}, headers={"Idempotency-Key": "k"})
        await ask(ann)

        refused = await ann.post("/counts", json={"items": 1})
        repeated = await ann.post("/counts", json={"items": 1}, headers={"Idempotency-Key": "k"})
        cancelled = await ann.post(first.headers["location"] + "/cancel")
        await ask(ann)

        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_active_jobs")
        assert int(refused.headers["retry-after"]) >= 1
        assert (repeated.status_code, cancelled.status_code) == (202, 202)


async def test_of_many_at_once_none_slips_through_a_limit(open_api: OpenApi) -> None:
    async with open_api(max_active_jobs_per_user=4) as api:
        ann = await api.user("ann")
        answers = await gather(*(ann.post("/counts", json={"items": 1}) for _ in range(20)))

        assert sorted(answer.status_code for answer in answers) == [202] * 4 + [429] * 16
