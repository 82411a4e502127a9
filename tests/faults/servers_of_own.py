"""Servers that a test may hurt: PostgreSQL hung and restarted, SQLite locked, an API and its callers."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

from app.chaos.servers import Postgres, free_port
from tests.processes import ROOT, end
from tests.waiting import until

_CALL_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller of the API got; status 0: not even an answer."""

    method: str
    began: float
    seconds: float
    status: int
    patient: bool  # a problem that says when to try again
    job_id: UUID | None

    @property
    def fine(self) -> bool:
        return self.status in (200, 202)


class Api:
    """A real API process."""

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "uvicorn", "--factory", "tests.faults.served:application"]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*command, "--port", str(port)], env=dict(env), cwd=ROOT, stdout=out, stderr=out
            )

    def client(self, token: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=self.address, headers=headers, timeout=30)

    async def up(self) -> None:
        async def look() -> bool:
            try:
                async with httpx.AsyncClient(base_url=self.address) as client:
                    return (await client.get("/healthz")).is_success
            except httpx.TransportError:
                return False

        await until(look, 20)

    def end(self) -> None:
        end(self.process)


async def call(client: httpx.AsyncClient, job_id: UUID | None = None) -> Answer:
    """Ask for the job `job_id`, or without one for a new job of one item."""
    began = time.monotonic()
    method = "POST" if job_id is None else "GET"
    try:
        if job_id is None:
            answer = await client.post("/writes", json={"items": 1})
        else:
            answer = await client.get(f"/jobs/{job_id}")
    except httpx.TransportError:
        return Answer(method, began, time.monotonic() - began, 0, False, None)
    seconds = time.monotonic() - began
    problem = answer.headers["content-type"] == "application/problem+json"
    patient = problem and "retry-after" in answer.headers
    asked = UUID(answer.json()["job_id"]) if answer.status_code == 202 else None
    return Answer(method, began, seconds, answer.status_code, patient, asked)


@asynccontextmanager
async def called(client: httpx.AsyncClient, job_id: UUID) -> AsyncIterator[list[Answer]]:
    """While the block lasts two callers look at a job and one asks for new ones."""
    answers: list[Answer] = []
    over = asyncio.Event()

    async def go_on(wanted: UUID | None) -> None:
        while not over.is_set():
            answers.append(await call(client, wanted))
            await asyncio.sleep(_CALL_PAUSE)

    callers = [asyncio.create_task(go_on(wanted)) for wanted in (job_id, job_id, None)]
    try:
        yield answers
    finally:
        over.set()
        await asyncio.gather(*callers)


async def restart(server: Postgres, how: signal.Signals) -> None:
    """SIGINT: fast. SIGQUIT: immediate, as a crash. Returns when the server answers again."""
    await asyncio.to_thread(server.stop, how)
    await asyncio.to_thread(server.start)


@contextmanager
def hung(server: Postgres) -> Iterator[None]:
    """While the block lasts the server and its backends stand still; connections stay open."""
    _signal_all(server, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal_all(server, signal.SIGCONT)


def _signal_all(server: Postgres, number: signal.Signals) -> None:
    assert server.process is not None
    server.process.send_signal(number)  # first, so that it starts no more backends
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue  # it ended meanwhile
        if int(parent) == server.process.pid:
            os.kill(int(stat.parent.name), number)


_LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("COMMIT")
"""


@asynccontextmanager
async def locked(path: str, seconds: float) -> AsyncIterator[None]:
    """Another process locks an SQLite file for so long; the block begins with it, and outlasts it."""
    command = [sys.executable, "-c", _LOCK, path, str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"locked\n"
    try:
        yield
    finally:
        assert await process.wait() == 0
