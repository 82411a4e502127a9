"""Errors are application/problem+json, whatever they are."""

from collections.abc import AsyncIterator

import httpx
from fastapi import APIRouter, Response

from app.api.deps import SessionDep
from app.main import Parts
from tests.api.conftest import JOBS, Api, OpenApi, router, up_to_date
from tests.databases import on_sqlite

_FIELDS = ["type", "title", "status", "detail", "instance", "code", "request_id"]


def is_problem(answer: httpx.Response, status: int, code: str) -> None:
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert list(body)[:7] == _FIELDS
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert body["instance"] == answer.request.url.path
    assert body["request_id"] == answer.headers["x-request-id"]


async def test_unknown_addresses_and_methods(ann: httpx.AsyncClient) -> None:
    is_problem(await ann.get("/nothing"), 404, "not_found")
    is_problem(await ann.delete("/jobs"), 405, "method_not_allowed")
    refused = await ann.delete("/jobs/019aa7c2-5c1f-7b52-9d3e-3f8f6f0f2a11")
    is_problem(refused, 405, "method_not_allowed")
    assert "GET" in refused.headers["allow"]


async def test_what_is_wrong_with_a_body_is_told_by_field(ann: httpx.AsyncClient) -> None:
    answer = await ann.post("/counts", json={"items": "hunter2", "other": 1})

    is_problem(answer, 422, "invalid")
    assert [(each["pointer"], each["field"]) for each in answer.json()["errors"]] == [
        ("#/body/items", "items"),
        ("#/body/other", "other"),
    ]
    assert "hunter2" not in answer.text


async def test_bad_json_is_422(ann: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}

    for content in (b"{", b"", b'"x"', b"\xff", b"[" * 100_000):
        answer = await ann.post("/counts", content=content, headers=headers)
        assert answer.status_code in (400, 422), content[:10]
        is_problem(answer, answer.status_code, answer.json()["code"])


async def test_a_body_has_a_limit(ann: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    declared = await ann.post("/counts", content=b" " * (1024 * 1024 + 1))
    streamed = await ann.post(
        "/counts",
        content=endless(),
        headers={"Content-Type": "application/json"},
    )

    is_problem(declared, 413, "too_large")
    is_problem(streamed, 413, "too_large")


async def test_text_that_no_database_takes_is_422(ann: httpx.AsyncClient) -> None:
    assert (await ann.get("/jobs?job_type=a%00b")).status_code in (200, 422)
    key = {"Idempotency-Key": "a\x7fb"}
    is_problem(await ann.post("/counts", json={"items": 1}, headers=key), 422, "invalid")


async def test_the_callers_request_id_is_kept_if_it_is_plain(ann: httpx.AsyncClient) -> None:
    kept = await ann.get("/healthz", headers={"X-Request-ID": "abc-1"})
    made = await ann.get("/healthz", headers={"X-Request-ID": "a b"})

    assert kept.headers["x-request-id"] == "abc-1"
    assert made.headers["x-request-id"] != "a b"


async def test_an_unexpected_error_tells_nothing(open_api: OpenApi) -> None:
    broken = APIRouter()

    @broken.get("/broken")
    async def fail(session: SessionDep) -> Response:
        raise ValueError("the password is hunter2")

    parts = Parts(registry=JOBS, routers=[router, broken], pending=up_to_date)
    async with open_api(parts) as api:
        ann = await api.user("ann")
        answer = await ann.get("/broken")

    is_problem(answer, 500, "internal_error")
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


async def test_a_failed_request_leaves_nothing_behind(open_api: OpenApi) -> None:
    broken = APIRouter()

    @broken.post("/broken")
    async def fail(session: SessionDep) -> Response:
        connection = await session.connection()
        await connection.exec_driver_sql("UPDATE users SET name = 'changed'")
        raise ValueError("no")

    parts = Parts(registry=JOBS, routers=[router, broken], pending=up_to_date)
    async with open_api(parts) as api:
        ann = await api.user("ann")
        await ann.post("/broken")
        async with api.db.reading() as session:
            connection = await session.connection()
            names = await connection.exec_driver_sql("SELECT name FROM users")
            assert [row[0] for row in names] == ["ann"]


async def test_a_database_without_tables_is_503(api: Api) -> None:
    ann = await api.user("ann")
    async with api.db.transaction() as session:
        connection = await session.connection()
        for table in ("tokens", "workers"):
            await connection.exec_driver_sql(f"DROP TABLE {table}")

    is_problem(await ann.get("/jobs"), 503, "not_migrated")


@on_sqlite  # which has one lock for all; PostgreSQL: test_database_away.py
async def test_a_locked_sqlite_is_503(api: Api, ann: httpx.AsyncClient) -> None:
    async with api.db.transaction() as session:
        await session.connection()
        answer = await ann.post("/counts", json={"items": 1})

    is_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert answer.elapsed.total_seconds() < 5
