"""Live streams of one API process: memory, idle work, how soon a change is seen, how soon it ends.

    python -m benchmarks.streams                          both databases, 2,000 streams
    python -m benchmarks.streams --engines sqlite --streams 5000

Idle streams watch a queued job each. Latency is from after the commit of a new version of one
more job, at random gaps, to the arrival of an event with it (or to its text in the page of a
headless Chromium, where there is one), with the idle streams open. The dashboard's first paint is
the server's answer to GET / with 200,000 jobs in the table, signed in as an admin.
"""

import argparse
import asyncio
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

import app.catalogue  # noqa: F401 -- every model is in the metadata
from app.api.auth import create_token
from app.chaos.servers import free_port, postgres_server, scratch
from app.core.loops import run
from app.resources import Resources, open_resources
from app.settings import Settings
from benchmarks.queue import create_tables, fill

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_SHARE = 25  # streams that are opened at once


@dataclass
class Api:
    process: "subprocess.Popen[bytes]"
    port: int
    token: str
    resources: Resources

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> float:
        """Resident, in KB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * _PAGE / 1024

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def settings_for(engine: str) -> Iterator[Settings]:
    with ExitStack() as stack:
        folder = stack.enter_context(scratch("streams"))
        url = f"sqlite:///{folder}/headway.db"
        if engine == "postgresql":
            url = stack.enter_context(postgres_server(durable=True)).url()
        given: dict[str, Any] = {"database_url": url, "data_dir": folder / "data"}
        yield Settings(_env_file=None, **given)


@asynccontextmanager
async def api_of(settings: Settings, resources: Resources) -> AsyncIterator[Api]:
    async with resources.db.transaction() as session:
        token = await create_token(session, "bench", admin=True)
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": settings.database_url,
        "DATA_DIR": str(settings.data_dir),
        "MAX_STREAMS_PER_USER": "100000",
        "LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port)]
    process = subprocess.Popen([*command, "--log-level", "warning"], env=environment)
    try:
        async with httpx.AsyncClient() as client:
            while True:
                try:
                    await client.get(f"http://127.0.0.1:{port}/healthz")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        yield Api(process, port, token, resources)
    finally:
        process.kill()
        process.wait()


async def opened(api: Api, path: str) -> asyncio.StreamReader:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    bearer = f"Authorization: Bearer {api.token}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{bearer}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head, head
    _kept.append(writer)
    return reader


_kept: list[asyncio.StreamWriter] = []  # a writer that is collected closes its connection


async def job_ids(resources: Resources) -> list[str]:
    sql = "SELECT CAST(id AS text) FROM background_jobs WHERE status = 'queued' ORDER BY seq"
    async with resources.db.reading() as session:
        return list((await session.execute(text(sql))).scalars())


async def change(resources: Resources, job_id: str, number: int) -> float:
    """Commit a new version with `number` in it; when that was done, by the wall clock."""
    at = job_id if resources.db.is_sqlite else None
    sql = (
        "UPDATE background_jobs SET version = version + 1, processed_items = :n "
        f"WHERE id = {':id' if at else 'CAST(:id AS uuid)'}"
    )
    async with resources.db.transaction() as session:
        await session.execute(text(sql), {"n": number, "id": job_id})
    return time.time()


async def until_seen(api: Api, job_id: str, changes: int) -> list[float]:
    """Milliseconds from each commit to its event."""
    reader = await opened(api, f"/jobs/{job_id}/stream")
    seen: dict[int, float] = {}

    async def read() -> None:
        while True:
            line = await reader.readline()
            if line.startswith(b"data: {") and b'"processed_items":' in line:
                number = int(line.partition(b'"processed_items":')[2].partition(b",")[0])
                seen[number] = time.time()

    reading = asyncio.create_task(read())
    done = await _change_at_random(api, job_id, changes)
    reading.cancel()
    return [(seen[n] - done[n]) * 1000 for n in done if n in seen]


async def _change_at_random(api: Api, job_id: str, changes: int) -> dict[int, float]:
    done = {}
    await asyncio.sleep(0.5)
    for number in range(1, changes + 1):
        done[number] = await change(api.resources, job_id, number)
        await asyncio.sleep(random.uniform(0.3, 0.7))  # each state stands long enough to be told
    return done


async def until_in_page(api: Api, job_id: str, changes: int) -> list[float]:
    """Milliseconds from each commit to its text in the dashboard's row of the job."""
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await driver.chromium.launch(executable_path=_CHROMIUM, args=flags)
        page = await browser.new_page()
        await page.goto(api.url)
        await page.fill("#token", api.token)
        await page.click("button.main")
        await page.goto(f"{api.url}/?job={job_id}")
        await page.wait_for_selector("#line.live")
        await page.evaluate(
            """() => {
              window.seen = {};
              new MutationObserver(() => {
                const part = document.querySelector(".drawer [data-f=items]");
                const number = parseInt(part?.textContent);
                if (number) seen[number] ??= performance.timeOrigin + performance.now();
              }).observe(document.body, { subtree: true, childList: true, characterData: true });
            }"""
        )
        done = await _change_at_random(api, job_id, changes)
        seen = {int(n): at / 1000 for n, at in (await page.evaluate("seen")).items()}
        await browser.close()
    return [(seen[n] - done[n]) * 1000 for n in done if n in seen]


async def not_modified(api: Api, job_id: str, requests: int = 4_000) -> tuple[float, float]:
    """Microseconds of server CPU and requests per second of a 304, 8 connections."""
    bearer = f"Authorization: Bearer {api.token}"
    headers = {"Authorization": f"Bearer {api.token}"}
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{api.url}/jobs/{job_id}", headers=headers)
    asked = (
        f"GET /jobs/{job_id} HTTP/1.1\r\nHost: x\r\n{bearer}\r\n"
        f"If-None-Match: {answer.headers['etag']}\r\n\r\n"
    ).encode()

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        for _ in range(requests // 8):
            writer.write(asked)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 304")
        writer.close()

    before, began = api.cpu(), time.monotonic()
    await asyncio.gather(*(ask() for _ in range(8)))
    took = time.monotonic() - began
    return (api.cpu() - before) / requests * 1e6, requests / took


async def first_paint(api: Api, times: int = 20) -> list[float]:
    """Milliseconds of GET / signed in; the first one is not warm."""
    async with httpx.AsyncClient(base_url=api.url) as client:
        await client.post("/session", json={"token": api.token})
        found = []
        for _ in range(times):
            began = time.perf_counter()
            answer = await client.get("/")
            found.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200
            assert "Sign out" in answer.text
            await asyncio.sleep(0.06)
    return found


def told(name: str, values: list[float]) -> None:
    p95 = statistics.quantiles(values, n=20)[18]
    print(
        f"  {name:<34} p50 {statistics.median(values):6.1f}  p95 {p95:6.1f}  "
        f"max {max(values):6.1f} ms  ({len(values)})",
        flush=True,
    )


async def measure(engine: str, streams: int, changes: int) -> None:
    print(f"{engine}, {streams:,} idle streams")
    with settings_for(engine) as settings:
        async with open_resources(settings) as resources:
            await create_tables(resources)
            await fill(resources, streams + 2, 0)
            one, *others = (await job_ids(resources))[: streams + 1]
            async with api_of(settings, resources) as api:
                await (await opened(api, "/jobs/stream")).readuntil(b"\n\n")
                before, began = api.memory(), time.monotonic()
                readers = []
                for start in range(0, streams, _SHARE):
                    paths = [f"/jobs/{job}/stream" for job in others[start : start + _SHARE]]
                    readers += await asyncio.gather(*(opened(api, path) for path in paths))
                took = time.monotonic() - began
                await asyncio.sleep(1.0)
                each = (api.memory() - before) / streams
                print(f"  opened in {took:.1f} s, {each:.1f} KB a stream", flush=True)
                cpu = api.cpu()
                await asyncio.sleep(5.0)
                print(f"  idle: {(api.cpu() - cpu) / 5:.1%} of a core")
                told("change to event", await until_seen(api, one, changes))
                if _CHROMIUM:
                    told("change to page", await until_in_page(api, one, changes))
                micro, rate = await not_modified(api, one)
                print(f"  304: {micro:.0f} us of CPU, {rate:,.0f}/s")
                began = time.monotonic()
                api.process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(api.process.wait, 60)
                print(f"  SIGTERM to exit: {time.monotonic() - began:.1f} s", flush=True)
                for writer in _kept:
                    writer.close()
                _kept.clear()
            await fill(resources, 300, 200_000)
            async with api_of(settings, resources) as api:
                first, *warm = await first_paint(api)
                told("GET / with 200,000 jobs", warm)
                print(f"  the very first: {first:.0f} ms")


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    engines = ("postgresql", "sqlite")
    parser.add_argument("--engines", nargs="*", choices=engines, default=list(engines))
    parser.add_argument("--streams", type=int, default=2_000)
    parser.add_argument("--changes", type=int, default=100)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for engine in options.engines:
        await measure(engine, options.streams, options.changes)


if __name__ == "__main__":
    run(main())
