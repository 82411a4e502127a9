"""The dashboard as a browser without JavaScript has it: pages and forms."""

import re
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from app.api.auth import create_token
from app.dashboard.pages import STATIC
from app.documents.jobs import ExtractDocument
from app.documents.sample import make_pdf
from app.jobs.maintenance import Prune
from tests.api.conftest import Api
from tests.dashboard.conftest import HERE, browser

_XSS = "<img src=x onerror=alert(1)>"


async def token_of(api: Api, name: str = "ann", *, admin: bool = False) -> str:
    async with api.db.transaction() as session:
        return await create_token(session, name, admin=admin)


@pytest.fixture
async def admin(api: Api) -> httpx.AsyncClient:
    return await browser(api, await token_of(api, "root", admin=True))


@pytest.fixture
async def ann(api: Api) -> httpx.AsyncClient:
    return await browser(api, await token_of(api))


async def upload(who: httpx.AsyncClient, content: bytes, name: str = "book.pdf") -> httpx.Response:
    files = {"file": (name, content, "application/pdf")}
    return await who.post("/dashboard/documents", files=files, headers=HERE)


@pytest.fixture(scope="module")
def pdf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = make_pdf(tmp_path_factory.mktemp("pdf") / "book.pdf", ["one", "two", "three"])
    return path.read_bytes()


async def test_it_is_closed_until_a_token_is_entered(api: Api) -> None:
    stranger = api.client()
    job_id = await api.jobs.ask(Prune())

    front = await stranger.get(f"/?job={job_id}")

    assert front.status_code == 200
    assert 'name="token"' in front.text
    assert "prune" not in front.text
    for path in ("/dashboard/add", "/dashboard/search?q=x"):
        answer = await stranger.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    for path in ("/dashboard/documents", "/dashboard/backups", f"/dashboard/jobs/{job_id}/cancel"):
        answer = await stranger.post(path, headers=HERE)
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), path


async def test_signing_in_and_out(api: Api) -> None:
    stranger = api.client()
    wrong = await stranger.post("/dashboard/session", data={"token": "hw_x"}, headers=HERE)
    foreign = await stranger.post(
        "/dashboard/session", data={"token": await token_of(api)}, headers={"Origin": "http://evil"}
    )
    ann = await browser(api, await token_of(api))
    inside = await ann.get("/")
    kept = await ann.post("/dashboard/sign-out", headers={"Sec-Fetch-Site": "cross-site"})
    still = await ann.get("/")
    out = await ann.post("/dashboard/sign-out", headers=HERE)

    assert (wrong.status_code, foreign.status_code) == (401, 403)
    assert "unknown, expired or revoked" in wrong.text
    assert ">Sign out<" in inside.text
    assert kept.status_code == 403
    assert ">Sign out<" in still.text
    assert 'name="token"' in out.text


async def test_every_page_carries_the_policy_and_no_inline_code(
    api: Api, ann: httpx.AsyncClient
) -> None:
    for path in ("/", "/dashboard/add", "/dashboard/search", f"/?job={uuid4()}"):
        answer = await ann.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|<style", answer.text), path


async def test_all_assets_are_small_and_kept_for_long(api: Api) -> None:
    stranger = api.client()
    page = (await stranger.get("/")).text

    assert sum(path.stat().st_size for path in STATIC.iterdir()) <= 40 * 1024
    for address in re.findall(r'(?:src|href)="(/dashboard/static/[^"]+)"', page):
        answer = await stranger.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await stranger.get("/dashboard/static/../routes.py")).status_code == 404
    assert (await stranger.get("/dashboard/static/nothing.js")).status_code == 404


async def test_upload_watch_and_read_the_end(api: Api, ann: httpx.AsyncClient, pdf: bytes) -> None:
    opened = await upload(ann, pdf)
    queued = opened.text
    await api.jobs.run_all()
    done = (await ann.get(str(opened.url))).text
    again = await upload(ann, pdf)
    nothing = await ann.post(
        "/dashboard/documents", files={"file": ("x.txt", b"text")}, headers=HERE
    )

    assert opened.url.params.get("job")
    assert 'class="card drawer"' in queued
    assert ">Cancel<" in queued
    assert 'value="100"' in done
    assert "3 of 3" in done
    assert re.search(r"<b>completed</b>", done)
    assert 'class="card drawer"' in again.text  # of the document's newest job
    assert nothing.status_code == 415
    assert 'role="alert"' in nothing.text


async def test_cancel_and_retry_by_form(api: Api, ann: httpx.AsyncClient, pdf: bytes) -> None:
    job_id = (await upload(ann, pdf)).url.params["job"]

    cancelled = await ann.post(f"/dashboard/jobs/{job_id}/cancel", headers=HERE)
    late = await ann.post(f"/dashboard/jobs/{job_id}/cancel", headers=HERE)
    foreign = await ann.post(f"/dashboard/jobs/{job_id}/retry")
    retried = await ann.post(f"/dashboard/jobs/{job_id}/retry", headers=HERE)

    assert ">Try again<" in cancelled.text
    assert (late.status_code, "already cancelled" in late.text) == (409, True)
    assert foreign.status_code == 403
    assert ">Cancel<" in retried.text
    assert (await ann.post(f"/dashboard/jobs/{job_id}/frob", headers=HERE)).status_code == 404


async def test_a_backup_is_registered_or_the_form_says_why_not(
    api: Api, ann: httpx.AsyncClient
) -> None:
    answer = await ann.post("/dashboard/backups", data={"path": "/etc", "name": ""}, headers=HERE)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


async def test_nobody_sees_what_is_anothers(
    api: Api, ann: httpx.AsyncClient, admin: httpx.AsyncClient, pdf: bytes
) -> None:
    job_id = (await upload(ann, pdf)).url.params["job"]
    bob = await browser(api, await token_of(api, "bob"))

    page = (await bob.get(f"/?job={job_id}")).text

    assert job_id not in page
    assert "ingest_extract</a>" not in page
    assert (await bob.post(f"/dashboard/jobs/{job_id}/cancel", headers=HERE)).status_code == 404
    assert "Workers" not in page
    everybodys = (await admin.get(f"/?job={job_id}")).text
    assert 'class="card drawer"' in everybodys
    assert "No worker has been seen" in everybodys


async def test_filters_are_in_the_address(api: Api, admin: httpx.AsyncClient) -> None:
    ended = [await api.jobs.ask(ExtractDocument(document_id=uuid4())) for _ in range(30)]
    waiting = await api.jobs.ask(Prune())
    async with api.db.transaction() as session:
        sql = "UPDATE background_jobs SET status = 'failed' WHERE kind = 'ingest_extract'"
        await session.execute(text(sql))

    def rows(page: httpx.Response) -> list[str]:
        return re.findall(r'<tr data-job="([^"]+)"', page.text)

    failed = await admin.get("/?status=failed")
    older = await admin.get("/?status=failed&page=2")
    pruning = await admin.get("/?kind=prune")
    assert rows(failed) == [str(each) for each in reversed(ended[5:])]
    assert rows(older) == [str(each) for each in reversed(ended[:5])]
    assert 'href="/?status=failed&amp;page=2"' in failed.text
    assert rows(pruning) == [str(waiting)]
    assert "No job is like this" in (await admin.get("/?status=running")).text
    for nonsense in ("?status=x&page=y&job=z&kind=", "?page=-1", "?page=99999999999999999999"):
        assert (await admin.get(f"/{nonsense}")).status_code == 200, nonsense


async def test_markup_in_stored_text_stays_text(
    api: Api, ann: httpx.AsyncClient, admin: httpx.AsyncClient, pdf: bytes
) -> None:
    job_id = (await upload(ann, pdf, f"{_XSS}.pdf")).url.params["job"]
    async with api.db.transaction() as session:
        texts = ("stage", "message", "error_type", "error_message", "lane", "queue")
        changes = ", ".join(f"{name} = CAST(:x AS varchar)" for name in texts)
        sql = f"UPDATE background_jobs SET status = 'failed', cursor = :j, result = :j, {changes}"
        if not api.db.is_sqlite:
            sql = sql.replace(":j", "CAST(:j AS jsonb)")
        await session.execute(text(sql), {"x": _XSS, "j": f'{{"{_XSS}": "{_XSS}"}}'})

    page = (await admin.get(f"/?job={job_id}&kind={_XSS}&status=failed")).text
    opened = (await admin.get(f"/?job={job_id}")).text
    found = (await admin.get(f"/dashboard/search?q={_XSS}&kind={_XSS}")).text

    assert "<img src=x" not in page + opened + found
    assert opened.count("&lt;img src=x onerror=alert(1)&gt;") >= 8


async def test_a_search_is_shown_or_said_to_be_missing(api: Api, ann: httpx.AsyncClient) -> None:
    asked = await ann.get("/search?q=hello")

    page = await ann.get("/dashboard/search?q=hello")

    assert page.status_code == 200
    missing = "There is no search in this installation yet."
    assert (missing if asked.status_code == 404 else "Nothing is like this.") in page.text


async def test_queues_are_counted_as_their_owner_sees_them(
    api: Api, ann: httpx.AsyncClient, admin: httpx.AsyncClient, pdf: bytes
) -> None:
    await upload(ann, pdf)
    later = await api.jobs.ask(Prune())
    async with api.db.transaction() as session:
        far = "UPDATE background_jobs SET run_after = '2999-01-01T00:00:00.000000Z' WHERE id = :id"
        given: str | UUID = str(later) if api.db.is_sqlite else later
        await session.execute(text(far), {"id": given})

    api.app.state.services.counted.clear()  # the pages before this have counted too
    anns = (await ann.get("/queues")).json()
    alls = (await admin.get("/queues")).json()

    assert anns["total"] == 1
    assert (anns["queues"][0]["ready"], anns["queues"][0]["scheduled"]) == (1, 0)
    assert (alls["queues"][0]["ready"], alls["queues"][0]["scheduled"]) == (1, 1)
    assert alls["queues"][0]["oldest_seconds"] >= 0
    assert list(alls["queues"][0]) == [
        "queue", "ready", "running", "scheduled", "failed_today", "oldest_seconds",
    ]  # fmt: skip
