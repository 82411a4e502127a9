"""The dashboard in a real headless Chromium: `headway up` behind it, a person's moves before it."""

import asyncio
import itertools
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect
from sqlalchemy import text

from app.backups.sample import make_backup
from app.chaos.servers import Postgres
from app.core.db import Database
from app.documents.sample import make_pdf
from tests.cli.conftest import Terminal, Up, headway_up
from tests.e2e import chromium

pytestmark = pytest.mark.skipif(
    chromium.PATH is None, reason="no Chromium: apt-get install chromium"
)
on_sqlite = pytest.mark.parametrize("site", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("site", ["postgresql"], indirect=True)

_numbers = itertools.count()
_XSS = "<img src=x onerror=\"window.hacked='yes'\">"
_WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""


class Site:
    """A running service, a token, and what the browser complained of."""

    def __init__(self, up: Up, token: str, folder: Path, database: str) -> None:
        self.url = up.url
        self.database = database
        self.token = token
        self.folder = folder
        self.complaints: list[str] = []
        self.api = httpx.AsyncClient(
            base_url=up.url, headers={"Authorization": f"Bearer {token}"}, timeout=30
        )

    def pdf(self, name: str, pages: int, words: int = 400) -> Path:
        text = "words and more words that take a moment to read " * (words // 10)
        return make_pdf(self.folder / name, [f"page {number} {text}" for number in range(pages)])

    async def upload(self, path: Path, name: str | None = None) -> str:
        files = {"file": (name or path.name, path.read_bytes())}
        answer = await self.api.post("/documents", files=files)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    async def settled(self, job_id: str) -> dict[str, Any]:
        while True:
            job: dict[str, Any] = (await self.api.get(f"/jobs/{job_id}?wait=20")).json()
            if job["completed_at"]:
                return job

    @asynccontextmanager
    async def browser(self, **how: Any) -> AsyncIterator[Page]:
        async with chromium.chromium() as browser:
            context = await browser.new_context(**how)
            await context.add_init_script(_WATCH)
            page = await context.new_page()
            page.on("console", self._heard)
            page.on("pageerror", lambda error: self.complaints.append(str(error)))
            await page.goto(self.url)
            yield page

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def sign_in(self, page: Page) -> None:
        await page.get_by_label("Token").fill(self.token)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible()


@pytest.fixture(params=["sqlite", "postgresql"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    url = f"sqlite:///{tmp_path / 'headway.db'}"
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        name = f"dashboard_{next(_numbers)}"
        server.psql(f"CREATE DATABASE {name}")
        url = server.url(name)
    terminal = Terminal(tmp_path, {"DATABASE_URL": url})
    with headway_up(terminal) as up:
        token = terminal.run("token", "create", "ann", "--admin").stdout.strip()
        site = Site(up, token, tmp_path, url)
        async with site.api:
            yield site


@pytest.mark.parametrize(
    "site", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)
async def test_sign_in_upload_watch_cancel_retry(site: Site) -> None:
    async with site.browser() as page:
        await site.sign_in(page)
        await expect(page.locator("#line")).to_have_text("live")

        await page.get_by_role("link", name="Add", exact=True).click()
        await page.get_by_label("File").set_input_files(site.pdf("book.pdf", 2000))
        await page.get_by_role("button", name="Upload").click()
        drawer = page.locator(".drawer")
        bar = drawer.locator("progress")
        await expect(drawer).to_be_visible()
        job_id = await drawer.get_attribute("data-job")
        percents = await _until_100(page)
        await expect(drawer.locator(".pill")).to_have_text("completed")
        await expect(page.locator(f'tr[data-job="{job_id}"] .pill')).to_have_text("completed")
        await expect(bar).to_have_js_property("value", 100)
        await expect(drawer.get_by_text("progress stage")).to_be_visible()

        assert percents == sorted(percents)
        assert len(percents) >= 4, f"the bar jumped: {percents}"

        long = await site.upload(site.pdf("long.pdf", 5000))
        await page.locator(f'tr[data-job="{long}"] a').click()
        await expect(drawer).to_have_attribute("data-job", long)
        await expect(drawer.locator(".pill")).to_have_text("extracting")
        await page.get_by_role("button", name="Cancel").click()
        await expect(drawer.locator(".pill")).to_have_text("cancelled", timeout=5000)
        reached = await drawer.locator("progress").evaluate("bar => bar.value")
        await page.get_by_role("button", name="Try again").click()
        await expect(drawer.locator(".pill")).to_have_text("completed", timeout=30_000)

        assert 0 < reached < 100
        assert await page.evaluate("violations") == []

        await page.keyboard.press("/")
        await page.get_by_label("Search everything").fill("words")
        await page.keyboard.press("Enter")
        await expect(page.locator(".found, .said")).to_be_visible()
        assert await page.evaluate("violations") == []
    job = await site.settled(long)
    assert (job["attempt"], job["processed_items"]) == (2, 5000)
    assert site.complaints == []


async def _until_100(page: Page) -> list[int]:
    """Every value that the drawer's bar is seen at, up to the last."""
    seen = await page.evaluate(
        """() => new Promise((done) => {
          const seen = [];
          const look = () => {
            const value = document.querySelector(".drawer progress").value;
            if (seen.at(-1) !== value) seen.push(value);
            if (value === 100 || performance.now() > 40000) done(seen);
            else requestAnimationFrame(look);
          };
          look();
        })"""
    )
    found: list[int] = seen
    assert found[-1] == 100
    return found


_CONTACTS = "31bb7ba8914766d4ba40d6dfb6113c8b614be442"  # the file of the address book


@on_postgresql
async def test_nothing_that_is_stored_ever_runs(site: Site) -> None:
    phone = site.folder / "backups" / "phone"
    make_backup(phone, messages=50)
    with closing(sqlite3.connect(phone / _CONTACTS[:2] / _CONTACTS)) as contacts:
        contacts.execute("UPDATE ABPerson SET First = ?", (_XSS,))
        contacts.commit()
    asked = await site.api.post("/backups", json={"path": str(phone), "name": _XSS})
    await site.settled(asked.json()["job_id"])
    await site.api.post("/notes", json={"title": _XSS, "content": f"hello {_XSS}"})
    jobs = [await site.upload(site.pdf("fine.pdf", 1), f"{_XSS}.pdf")]
    (site.folder / "bad.pdf").write_bytes(b"%PDF-1.4 " + _XSS.encode())
    jobs.append(await site.upload(site.folder / "bad.pdf", f"{_XSS}2.pdf"))
    for job_id in jobs:
        await site.settled(job_id)
    await _write_everywhere(site.database)

    async with site.browser() as page:
        await site.sign_in(page)
        await expect(page.locator("#line")).to_have_text("live")
        for path in (
            "/",
            f"/?job={jobs[0]}",
            f"/?job={jobs[1]}&kind={_XSS}",
            f"/dashboard/search?q={_XSS}",
            "/dashboard/search?q=hello",
            "/dashboard/search?q=img",
            "/dashboard/search?q=observatory",  # what a contact's note says
        ):
            await page.goto(f"{site.url}{path}")
            await asyncio.sleep(0.3)
            assert await page.locator("img[src=x]").count() == 0, path
            assert await page.evaluate("[window.hacked ?? null, violations]") == [None, []], path
        await expect(page.locator("main")).to_contain_text(_XSS)  # the contact's name
        await page.goto(site.url)
        await page.locator(f'tr[data-job="{jobs[1]}"] .name a').click()
        await expect(page.locator(".drawer")).to_contain_text(_XSS)
        await _write_everywhere(site.database)  # and as an event of the stream
        await asyncio.sleep(0.8)
        assert await page.evaluate("[window.hacked ?? null, violations]") == [None, []]
    assert site.complaints == []


async def _write_everywhere(url: str) -> None:
    """What a handler, a worker or a client may bring into a row, in every text that is shown."""
    db = Database(url)
    texts = ("stage", "message", "error_type", "error_message")
    changes = ", ".join(f"{name} = CAST(:x AS varchar)" for name in texts)
    document = json.dumps({_XSS: _XSS})
    async with db.transaction() as session:
        sql = f"UPDATE background_jobs SET version = version + 1, result = CAST(:j AS jsonb), cursor = CAST(:j AS jsonb), {changes}"
        await session.execute(text(sql), {"x": _XSS, "j": document})
        events = "UPDATE job_events SET data = CAST(:j AS jsonb), worker = :x"
        await session.execute(text(events), {"x": _XSS, "j": document})
    await db.close()


@on_sqlite
async def test_the_page_without_javascript(site: Site) -> None:
    async with site.browser(java_script_enabled=False) as page:
        await site.sign_in(page)
        await page.get_by_role("link", name="Add", exact=True).click()
        await page.get_by_label("File").set_input_files(site.pdf("book.pdf", 4000))
        await page.get_by_role("button", name="Upload").click()
        await page.get_by_role("button", name="Cancel").click()
        for _ in range(10):
            if await page.get_by_role("button", name="Try again").count():
                break
            await page.reload()
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator(".drawer")).to_be_visible()
        await page.get_by_role("link", name="running").click()
        assert "status=running" in page.url
        await page.get_by_role("link", name="Search").click()
        await page.get_by_label("Search everything").fill("hello")
        await page.get_by_role("button", name="Search").click()
        assert "q=hello" in page.url
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Token")).to_be_visible()
    assert site.complaints == []


@on_sqlite
async def test_by_keyboard_on_a_phone_in_the_dark(site: Site) -> None:
    jobs = [await site.upload(site.pdf(f"{number}.pdf", number + 1)) for number in range(3)]
    for job_id in jobs:
        await site.settled(job_id)
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
    async with site.browser(**phone) as page:
        await expect(page.get_by_label("Token")).to_be_focused()
        await page.keyboard.type(site.token)
        await page.keyboard.press("Enter")
        await expect(page.locator("#line")).to_have_text("live")
        await page.get_by_label("Kind").select_option("ingest_extract")
        await expect(page).to_have_url(f"{site.url}/?kind=ingest_extract")
        await expect(page.locator("#line")).to_have_text("live")
        for job_id in (jobs[2], jobs[1]):  # newest first
            await page.keyboard.press("j")
            await expect(page.locator(f'tr[data-job="{job_id}"] a')).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator(".drawer")).to_have_attribute("data-job", jobs[1])
        assert f"job={jobs[1]}" in page.url
        await page.keyboard.press("Escape")
        await expect(page.locator(".drawer")).to_have_count(0)
        await expect(page.locator(f'tr[data-job="{jobs[1]}"] a')).to_be_focused()
        await page.go_back()
        await expect(page.locator(".drawer")).to_be_visible()
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(overflow) <= 0
    assert site.complaints == []
