"""The dashboard's session: a cookie that stands for a token."""

import asyncio
import re

import httpx
import pytest
from sqlalchemy import text

from app.api.auth import create_token, hash_of, list_tokens, revoke_token
from tests.api.conftest import Api, ask
from tests.api.listening import listening

_HERE = {"Sec-Fetch-Site": "same-origin"}


async def token_of(api: Api, name: str = "ann", **how: object) -> str:
    async with api.db.transaction() as session:
        return await create_token(session, name, **how)  # type: ignore[arg-type]


def cookie_in(answer: httpx.Response) -> str:
    found = re.match(r"headway_session=([^;]+);", answer.headers["set-cookie"])
    assert found
    return found[1]


async def sign_in(api: Api, token: str) -> httpx.AsyncClient:
    answer = await api.client().post("/session", json={"token": token})
    assert answer.status_code == 200, answer.text
    return api.client({"Cookie": f"headway_session={cookie_in(answer)}"})


async def test_a_token_opens_a_session_of_which_only_the_hash_is_kept(api: Api) -> None:
    token = await token_of(api)

    answer = await api.client().post("/session", json={"token": token})
    at_home = await api.client().post("http://127.0.0.1:8000/session", json={"token": token})
    cookie = cookie_in(answer)
    async with api.db.reading() as session:
        rows = (await session.execute(text("SELECT * FROM sessions"))).all()

    assert answer.json() == {"user": "ann", "admin": False}
    given = answer.headers["set-cookie"].lower()
    assert all(f"; {word}" in given for word in ("httponly", "samesite=strict", "path=/", "secure"))
    assert "; max-age=43200" in given
    assert "secure" not in at_home.headers["set-cookie"].lower()
    assert len(rows) == 2
    assert hash_of(cookie) in {row.session_hash for row in rows}
    assert token not in str(rows)
    assert cookie not in str(rows)
    assert (await api.client({"Cookie": f"headway_session={cookie}"}).get("/jobs")).is_success


async def test_no_token_no_session(api: Api) -> None:
    for body in ({"token": "hw_wrong"}, {}, {"token": None}):
        answer = await api.client().post("/session", json=body)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
    assert (await api.client({"Cookie": "headway_session=x"}).get("/jobs")).status_code == 401


async def test_a_session_reads_and_writes_only_from_our_own_pages(api: Api) -> None:
    browser = await sign_in(api, await token_of(api))

    for headers in (
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://headway.test"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
    ):
        answer = await browser.post("/counts", json={"items": 1}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site"), headers
    for headers in (_HERE, {"Origin": "http://headway.test"}, {"Origin": "https://headway.test"}):
        assert (await browser.post("/counts", json={"items": 1}, headers=headers)).is_success
    listed = await browser.get("/jobs", headers={"Sec-Fetch-Site": "cross-site"})
    assert listed.json()["total"] == 3


async def test_a_bearer_token_goes_before_a_cookie(api: Api) -> None:
    browser = await sign_in(api, await token_of(api))

    wrong = await browser.get("/jobs", headers={"Authorization": "Bearer hw_wrong"})

    assert wrong.status_code == 401


async def test_signing_out_ends_the_session(api: Api) -> None:
    browser = await sign_in(api, await token_of(api))

    assert (await browser.delete("/session")).status_code == 403
    out = await browser.delete("/session", headers=_HERE)

    assert out.status_code == 204
    assert 'headway_session=""' in out.headers["set-cookie"]
    assert (await browser.get("/jobs")).status_code == 401
    assert (await api.client().delete("/session")).status_code == 401


async def test_a_session_ends_with_its_token(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.tokens._SECONDS", 0.2)
    browser = await sign_in(api, await token_of(api))
    headers = {"cookie": browser.headers["cookie"]}
    async with listening(api.app, "/jobs/stream", **headers) as stream:
        await asyncio.sleep(0.3)
        async with api.db.transaction() as session:
            await revoke_token(session, (await list_tokens(session))[0]["id"])

        assert await stream.next(4) is None
    assert (await browser.get("/jobs")).status_code == 401


async def test_a_session_ends_after_its_time_and_is_forgotten(api: Api) -> None:
    token = await token_of(api)
    browser = await sign_in(api, token)
    async with api.db.transaction() as session:
        past = "'2001-01-01T00:00:00.000000Z'"
        await session.execute(text(f"UPDATE sessions SET expires_at = {past}"))

    assert (await browser.get("/jobs")).status_code == 401
    await sign_in(api, token)
    async with api.db.reading() as session:
        assert (await session.execute(text("SELECT count(*) FROM sessions"))).scalar_one() == 1


async def test_another_sites_page_signs_nobody_in(api: Api) -> None:
    token = await token_of(api)

    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.test"}):
        answer = await api.client().post("/session", json={"token": token}, headers=headers)
        assert answer.status_code == 403


async def test_a_session_sees_what_its_user_sees(api: Api) -> None:
    ann = await api.user("ann")
    job_id = await ask(ann)
    bobs = await sign_in(api, await token_of(api, "bob"))
    admins = await sign_in(api, await token_of(api, "root", admin=True))

    assert (await bobs.get(f"/jobs/{job_id}")).status_code == 404
    assert (await admins.get(f"/jobs/{job_id}")).status_code == 200
    assert (await bobs.get("/workers")).status_code == 403
    assert (await admins.get("/workers")).status_code == 200
