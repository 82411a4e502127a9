"""The application behind a real uvicorn, and what a fuzzer makes of it."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import hypothesis
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase
from schemathesis.core.result import Ok

from app.api.auth import create_token
from app.chaos.servers import free_port
from app.core.db import Database
from app.main import create_app
from app.resources import open_resources
from app.settings import Settings
from tests.api.conftest import PARTS, Count, count
from tests.conftest import MakeSettings
from tests.harness import JobHarness

_WAIT = 20.0


@pytest.fixture
def served(make_settings: MakeSettings) -> Iterator[str]:
    """The address of the application in a thread of its own."""
    config = uvicorn.Config(
        create_app(make_settings(), parts=PARTS), port=free_port(), log_level="error"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    address = f"http://127.0.0.1:{config.port}"
    _until_up(address)
    yield address
    server.should_exit = True
    thread.join()


async def _token(url: str) -> str:
    database = Database(url)
    async with database.transaction() as session:
        token = await create_token(session, "ann", admin=True)
    await database.close()
    return token


async def _job(settings: Settings) -> UUID:
    async with open_resources(settings) as resources:
        return await JobHarness(resources, [count]).ask(Count(items=1))


async def test_a_fuzzer_finds_no_server_error(served: str, database_url: str) -> None:
    headers = {"Authorization": f"Bearer {await _token(database_url)}"}

    await asyncio.to_thread(_fuzz, served, headers)


def _fuzz(address: str, headers: dict[str, str]) -> None:
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    settings = hypothesis.settings(
        max_examples=6,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @hypothesis.given(case=operation.as_strategy())
        @settings
        def check(case: schemathesis.Case[Any]) -> None:
            (case.query or {}).pop("wait", None)  # the time is better spent
            answer = case.call(headers=headers, timeout=10)
            assert answer.status_code < 500 or case.path == "/readyz", answer.text
            documented = case.operation.definition.raw["responses"]
            assert str(answer.status_code) in documented, (case.method, case.path, answer.text)

        check()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_door_reads_the_environment_and_stops_while_somebody_waits(
    database_url: str, make_settings: MakeSettings, tmp_path: Path
) -> None:
    token = asyncio.run(_token(database_url))
    job_id = asyncio.run(_job(make_settings()))
    port = free_port()
    environment = os.environ | {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port)]
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stderr=file, stdout=file)
    try:
        address = f"http://127.0.0.1:{port}"
        _until_up(address)
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
            listed = client.get("/jobs?job_type=s3cret")
        assert (listed.status_code, listed.json()) == (200, {"jobs": [], "total": 0})
        asked: dict[str, Any] = {
            "url": f"{address}/jobs/{job_id}?wait=30",
            "headers": headers,
            "timeout": 40,
        }
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(lambda: httpx.get(**asked))
            time.sleep(0.5)
            assert not waiting.done()
            process.send_signal(signal.SIGTERM)
            assert waiting.result(5).json()["status"] == "queued"
    finally:
        process.terminate()
        assert process.wait(10) in (0, -signal.SIGTERM)
    lines = log.read_text()
    assert "/jobs" in lines
    assert "s3cret" not in lines
    assert token not in lines


def test_a_bad_setting_is_one_line_and_exit_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(free_port())]
    environment = os.environ | {"DATA_DIR": str(tmp_path), "ARQ_MAX_JOBS": "many"}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)

    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("headway: ARQ_MAX_JOBS: ")
    assert "Traceback" not in done.stderr


def test_importing_the_door_reads_nothing() -> None:
    code = "import app.main, app.settings; app.settings.Settings = None; app.main.create_app"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def _until_up(address: str) -> None:
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            httpx.get(f"{address}/healthz")
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


async def test_a_hundred_streams_do_not_hold_up_a_stop(
    database_url: str, make_settings: MakeSettings, tmp_path: Path
) -> None:
    token = await _token(database_url)
    job_id = await _job(make_settings())
    port = free_port()
    environment = os.environ | {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port)]
    with (tmp_path / "log").open("wb") as file:
        process = subprocess.Popen(command, env=environment, stderr=file, stdout=file)
    try:
        await asyncio.to_thread(_until_up, f"http://127.0.0.1:{port}")
        paths = [f"/jobs/{job_id}/stream", "/jobs/stream"] * 50
        streams = await asyncio.gather(*(_open_stream(port, path, token) for path in paths))
        first = await asyncio.gather(*(reader.readuntil(b"\n\n") for reader, _writer in streams))
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        rest = await asyncio.gather(*(reader.read() for reader, _writer in streams))
        code = await asyncio.to_thread(process.wait, 10)
        took = time.monotonic() - began
    finally:
        process.kill()
    for _reader, writer in streams:
        writer.close()

    assert len(first) == 100
    assert all(each.endswith(b"0\r\n\r\n") for each in rest), "a stream was cut off"
    assert all(b'"status":"queued"' in each for each in rest)
    assert code in (0, -signal.SIGTERM)
    assert took < 5


async def _open_stream(
    port: int, path: str, token: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream, read up to the end of its headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return reader, writer
