"""PostgreSQL restarts, hangs, goes: readers do not notice the first, and nobody waits for ever."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.chaos.servers import Postgres, postgres_server
from app.core.db import Base
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import PARTS, Api, ask
from tests.api.listening import listening

pytestmark = pytest.mark.fault


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[tuple[Api, Postgres]]:
    """An application on a PostgreSQL that no other test uses."""
    with postgres_server() as server:
        settings = Settings(
            _env_file=None, data_dir=tmp_path, database_url=server.url(), log_level="error"
        )
        app = create_app(settings, parts=PARTS)
        async with app.router.lifespan_context(app):
            api = Api(app, app.state.services.resources)
            async with api.db.engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            yield api, server
            await api.aclose()


async def test_a_server_that_restarts_hangs_and_goes(own: tuple[Api, Postgres]) -> None:
    api, server = own
    ann = await api.user("ann", admin=True)
    job_id = await ask(ann)

    stop = asyncio.Event()
    polling = [asyncio.create_task(_poll(ann, f"/jobs/{job_id}", stop)) for _ in range(4)]
    await asyncio.sleep(0.2)
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    await asyncio.sleep(0.3)
    stop.set()
    assert set().union(*await asyncio.gather(*polling)) == {200}

    paths = (f"/jobs/{job_id}", "/jobs", "/workers", "/readyz")
    requests = [("GET", path) for path in paths]
    requests += [("POST", "/counts"), ("POST", f"/jobs/{job_id}/cancel")]
    await ann.get("/workers")
    _signal_all(server, signal.SIGSTOP)
    try:
        hung = await asyncio.gather(*(_timed(ann, *each) for each in requests))
    finally:
        _signal_all(server, signal.SIGCONT)
    for (method, path), (answer, seconds) in zip(requests, hung, strict=True):
        assert answer.status_code == 503, (method, path, answer.text)
        assert answer.headers["retry-after"] == "1"
        assert seconds < 5.3, (method, path, seconds)

    assert (await ann.post("/counts", json={"items": 1})).status_code == 202
    await asyncio.to_thread(server.stop)
    gone, seconds = await _timed(ann, "POST", "/counts")
    assert (gone.status_code, gone.json()["code"]) == (503, "unavailable")
    assert (await ann.get("/healthz")).status_code == 200


async def test_streams_outlive_a_restart(own: tuple[Api, Postgres]) -> None:
    api, server = own
    ann = await api.user("ann")
    job_id = await ask(ann)
    bearer = ann.headers["authorization"]
    async with (
        listening(api.app, f"/jobs/{job_id}/stream", bearer) as one,
        listening(api.app, "/jobs/stream", bearer) as everything,
    ):
        assert (await one.next(), await everything.next()) != (None, None)
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(server.start)
        await ann.post(f"/jobs/{job_id}/cancel")
        last, end = await one.all()
        told = await everything.next()

    assert (last.data["status"], end.kind) == ("cancelled", "end")
    assert told is not None
    assert (told.id, told.data) == (last.id, last.data)


async def _poll(client: httpx.AsyncClient, path: str, stop: asyncio.Event) -> set[int]:
    seen = set()
    while not stop.is_set():
        seen.add((await client.get(path)).status_code)
        await asyncio.sleep(0.01)
    return seen


async def _timed(client: httpx.AsyncClient, method: str, path: str) -> tuple[httpx.Response, float]:
    began = asyncio.get_running_loop().time()
    answer = await client.request(method, path, json={"items": 1} if method == "POST" else None)
    return answer, asyncio.get_running_loop().time() - began


def _signal_all(server: Postgres, number: signal.Signals) -> None:
    """To the server and each of its backends, which are its children."""
    assert server.process is not None
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if int(parent) == server.process.pid:
                os.kill(int(process.name), number)
    server.process.send_signal(number)
