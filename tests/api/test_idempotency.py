"""Idempotency-Key."""

import asyncio
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from app.api.idempotency import Door, InProcess, Scope, prune
from app.core.errors import InFlight
from tests.api.conftest import Api, OpenApi, ask
from tests.databases import on_postgresql

KEY = {"Idempotency-Key": "one"}


async def test_the_same_request_twice_is_one_job_and_one_answer(ann: httpx.AsyncClient) -> None:
    first = await ann.post("/counts", json={"items": 3}, headers=KEY)
    again = await ann.post("/counts", json={"items": 3}, headers=KEY)

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["retry-after"] == first.headers["retry-after"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (await ann.get("/jobs")).json()["total"] == 1


async def test_a_hundred_at_once_are_one_job_and_equal_bodies(ann: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(ann.post("/counts", json={"items": 3}, headers=KEY) for _ in range(100))
    )

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 99
    assert (await ann.get("/jobs")).json()["total"] == 1


async def test_it_holds_over_several_processes(open_api: OpenApi) -> None:
    async with open_api() as here, open_api() as there:
        ann = await here.user("ann")
        other = there.bearer(ann.headers["authorization"].removeprefix("Bearer "))

        answers = await asyncio.gather(
            *(
                client.post("/counts", json={"items": 3}, headers=KEY)
                for _ in range(20)
                for client in (ann, other)
            )
        )

        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.content for answer in answers}) == 1
        assert (await ann.get("/jobs")).json()["total"] == 1


async def test_another_request_under_the_key_is_422(ann: httpx.AsyncClient) -> None:
    await ann.post("/counts", json={"items": 3}, headers=KEY)

    answer = await ann.post("/counts", json={"items": 4}, headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_key_is_its_users_own_and_its_routes(
    ann: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    mine = await ann.post("/counts", json={"items": 3}, headers=KEY)
    his = await bob.post("/counts", json={"items": 4}, headers=KEY)
    cancelled = await ann.post(mine.headers["location"] + "/cancel", headers=KEY)
    twice = await ann.post(mine.headers["location"] + "/cancel", headers=KEY)

    assert (mine.status_code, his.status_code, cancelled.status_code) == (202, 202, 202)
    assert "idempotency-replayed" not in cancelled.headers
    assert (twice.status_code, twice.content) == (202, cancelled.content)


async def test_errors_are_not_kept(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)

    refused = await ann.post(f"/jobs/{job_id}/retry", headers=KEY)
    await ann.post(f"/jobs/{job_id}/cancel")
    done = await ann.post(f"/jobs/{job_id}/retry", headers=KEY)

    assert (refused.status_code, done.status_code) == (409, 202)
    assert "idempotency-replayed" not in done.headers


async def test_a_key_has_bounds(ann: httpx.AsyncClient) -> None:
    for key in ("", "x" * 256, "a\tb"):
        answer = await ann.post("/counts", json={"items": 3}, headers={"Idempotency-Key": key})
        assert answer.status_code == 422, key

    longest = {"Idempotency-Key": "x" * 255}
    first = await ann.post("/counts", json={"items": 3}, headers=longest)
    again = await ann.post("/counts", json={"items": 3}, headers=longest)

    assert (first.status_code, again.content) == (202, first.content)
    assert (await ann.get("/jobs")).json()["total"] == 1


async def test_after_two_days_a_key_is_new_again(api: Api, ann: httpx.AsyncClient) -> None:
    first = await ann.post("/counts", json={"items": 3}, headers=KEY)
    async with api.db.transaction() as session:
        await session.execute(
            text("UPDATE idempotency_keys SET created_at = '2000-01-01T00:00:00.000000Z'")
        )

    again = await ann.post("/counts", json={"items": 5}, headers=KEY)
    async with api.db.transaction() as session:
        await session.execute(
            text("UPDATE idempotency_keys SET created_at = '2000-01-01T00:00:00.000000Z'")
        )
        forgotten = await prune(session)

    assert again.status_code == 202
    assert again.content != first.content
    assert forgotten == 1


async def test_a_request_does_not_wait_long_for_an_equal_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.api.idempotency._PATIENCE", 0.2)
    here, scope = InProcess(), Scope(uuid4(), "POST", "/counts", "one")
    holder, second = Door(here), Door(here)

    assert await holder.enter(scope, "a") is None
    with pytest.raises(InFlight) as raised:
        await second.enter(scope, "a")
    holder.leave()

    assert raised.value.retry_after == 1
    assert await second.enter(scope, "a") is None


@on_postgresql  # on SQLite the writer's lock makes everybody wait, see the next test
async def test_another_process_at_work_is_409(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.idempotency._PATIENCE", 0.2)
    ann = await api.user("ann")
    async with api.db.transaction() as session:
        user_id = (await session.execute(text("SELECT id FROM users"))).scalar_one()
        await session.execute(
            text(
                "INSERT INTO idempotency_keys (id, user_id, method, route, key, fingerprint, "
                "created_at) VALUES (gen_random_uuid(), :user, 'POST', '/counts', 'one', 'x', "
                "clock_timestamp())"
            ),
            {"user": user_id},
        )
        answer = await ann.post("/counts", json={"items": 3}, headers=KEY)
        await session.rollback()

    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert answer.json()["code"] == "in_flight"


async def test_a_short_lock_of_another_process_is_waited_for(api: Api) -> None:
    ann = await api.user("ann")
    async with api.db.transaction() as session:
        await session.execute(text("UPDATE users SET name = name"))
        waiting = asyncio.create_task(ann.post("/counts", json={"items": 3}, headers=KEY))
        await asyncio.sleep(0.5)

    assert (await waiting).status_code == 202
