"""Takes the README's pictures: a real service at real work, in Chromium and in a terminal.

python -m benchmarks.pictures        needs chromium; writes docs/pictures
"""

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import async_playwright
from rich.console import Console

from app.backups.sample import make_backup
from app.cli import top
from app.cli.progress import Bars
from app.documents.sample import make_pdf

PICTURES = Path(__file__).parents[1] / "docs/pictures"
_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_WIDE = 116  # columns of the terminal
_TEXT = "A page of a book that takes a moment to read. " * 40


@contextmanager
def service(folder: Path) -> Iterator[tuple[str, str]]:
    """`headway up` in `folder`: its address, and an admin's token."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = kept | {"DATA_DIR": str(folder), "LOG_LEVEL": "error"}
    headway = [sys.executable, "-m", "app"]
    up = subprocess.Popen(
        [*headway, "up", "--port", "0", "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert up.stdout is not None
        url = json.loads(up.stdout.readline())["url"]
        create = [*headway, "token", "create", "ann", "--admin"]
        made = subprocess.run(create, env=environment, capture_output=True, text=True, check=True)
        yield url, made.stdout.strip()
    finally:
        up.terminate()
        up.wait(20)


async def shoot(folder: Path, url: str, token: str) -> None:
    """Give the service work, and take both pictures while it is at it."""
    backup = folder / "backups" / "phone"
    make_backup(backup, messages=40_000)
    pages = {"handbook.pdf": 9_000, "report.pdf": 120, "letter.pdf": 2}
    pdfs = [make_pdf(folder / name, [_TEXT] * count) for name, count in pages.items()]
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as api,
        async_playwright() as driver,
    ):
        browser = await driver.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        page = await browser.new_page(viewport={"width": 1240, "height": 720})
        await page.goto(url)
        await page.fill("#token", token)
        await page.click("button.main")
        broken = ("scan.pdf", b"%PDF-1.7 and nothing else")
        for name, content in (broken, *((pdf.name, pdf.read_bytes()) for pdf in pdfs[1:])):
            await api.post("/documents", files={"file": (name, content)})
        await api.post("/backups", json={"path": str(backup)})
        sent = {"file": (pdfs[0].name, pdfs[0].read_bytes())}
        job = (await api.post("/documents", files=sent)).json()["job_id"]
        await page.goto(f"{url}/?job={job}")
        await _until(api, job, 25)
        await page.screenshot(path=PICTURES / "dashboard.png")
        await _terminal(api)
        await browser.close()


async def _until(api: httpx.AsyncClient, job: str, percent: int) -> None:
    while True:
        found = (await api.get(f"/jobs/{job}?wait=5")).json()
        if found["progress_percent"] >= percent or found["completed_at"]:
            return


async def _terminal(api: httpx.AsyncClient) -> None:
    """What `headway jobs watch` and `headway top` show at this moment."""
    jobs = (await api.get("/jobs?limit=5")).json()["jobs"]
    seen: dict[str, Any] = {
        "queues": (await api.get("/queues")).json()["queues"],
        "workers": (await api.get("/workers")).json()["workers"],
        "jobs": jobs,
    }
    screen = Console(record=True, width=_WIDE, file=io.StringIO(), force_terminal=True)
    screen.print(
        "[bold green]$[/] headway jobs watch " + " ".join(j["job_id"][:8] + "…" for j in jobs[:2])
    )
    shown = Bars({}, screen)
    for job in jobs[:2]:
        shown.show(job)
    screen.print(shown.drawn())
    screen.print("\n[bold green]$[/] headway top")
    screen.print(top.drawn(seen))
    svg = screen.export_svg(title="headway")
    alone = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # fonts from elsewhere
    (PICTURES / "terminal.svg").write_text(alone)


def main() -> None:
    """Take them."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as (url, token):
        asyncio.run(shoot(Path(folder), url, token))


if __name__ == "__main__":
    main()
