"""The whole service through its real doors: uvicorn, the arq command, the command line, HTTP."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.chaos.servers import Valkey, free_port
from app.documents.sample import make_pdf
from tests.conftest import MakeSettings
from tests.processes import ROOT, end, environment
from tests.waiting import until

BIN = Path(sys.executable).parent
PAGES = 5000
DEPLOYMENTS = [("postgresql", "arq"), ("postgresql", "database"), ("sqlite", "database")]
ROUTES = {"test_a_kind_goes_to_the_queue_that_it_is_routed_to": "ingest_extract=reading"}
LEASE = 3

everywhere = pytest.mark.parametrize(
    ("database_url", "engine"), DEPLOYMENTS, indirect=["database_url"]
)
in_production_and_when_there_is_time_elsewhere = pytest.mark.parametrize(
    ("database_url", "engine"),
    [DEPLOYMENTS[0], *(pytest.param(*each, marks=pytest.mark.long) for each in DEPLOYMENTS[1:])],
    indirect=["database_url"],
)


class Service:
    """Processes of one deployment, all with the same environment."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self.env = env
        self.log = log
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, **changes: str) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as out:
            process = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                env=self.env | changes, cwd=ROOT, stdout=out, stderr=out,
            )  # fmt: skip
        self.started.append(process)
        return process

    def call(self, *command: str) -> str:
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            env=self.env, cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()


@pytest.fixture
def service(
    request: pytest.FixtureRequest,
    make_settings: MakeSettings,
    tmp_path: Path,
    valkey: Valkey,
    engine: str,
) -> Iterator[Service]:
    changes = {"redis_url": valkey.url} if engine == "arq" else {}
    settings = make_settings(job_lease_seconds=LEASE, **changes)
    with ExitStack() as stack:
        env = environment(settings, QUEUE_ROUTES=ROUTES.get(request.node.originalname, ""))
        service = Service(env, tmp_path / "service.log")
        stack.callback(lambda: [end(process) for process in service.started])
        yield service


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    port = free_port()
    token = service.call("headway", "token", "create", "ann")
    service.start("uvicorn", "app.main:app", "--port", str(port), "--log-level", "warning")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:

        async def ready() -> bool:
            with suppress(httpx.TransportError):
                return (await client.get("/healthz")).status_code == 200
            return False

        await until(ready)
        yield client


def worker_command(engine: str) -> tuple[str, ...]:
    if engine == "arq":
        return ("arq", "app.worker.tasks.WorkerSettings")
    return ("headway", "worker", "--engine", "database")


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def job_when(
    http: httpx.AsyncClient, job_id: str, enough: Callable[[Any], bool], seconds: float = 60
) -> Any:
    async def look() -> Any:
        answer = await http.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json() if enough(answer.json()) else None

    return await until(look, seconds)


async def upload(http: httpx.AsyncClient, path: Path) -> tuple[str, str]:
    answer = await http.post("/documents", files={"file": ("book.pdf", path.read_bytes())})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/jobs/{answer.json()['job_id']}"
    return answer.json()["document_id"], answer.json()["job_id"]


@in_production_and_when_there_is_time_elsewhere
async def test_a_worker_killed_in_the_middle_of_a_large_document(
    service: Service, http: httpx.AsyncClient, engine: str, tmp_path: Path
) -> None:
    dense = "All work and no play makes a page that takes its time to read. " * 60
    path = make_pdf(tmp_path / "book.pdf", [f"{number}: {dense}" for number in range(1, PAGES + 1)])
    first = service.start(*worker_command(engine))
    document_id, job_id = await upload(http, path)
    half = await job_when(http, job_id, lambda job: job["processed_items"] >= PAGES // 2)
    assert half["status"] == "running", "the document was read before the kill"
    extraction = children(first.pid)
    assert extraction

    first.kill()  # its pid, not its group
    killed = time.monotonic()
    first.wait()
    service.start(*worker_command(engine))

    await asyncio.sleep(1.0)
    assert not any(alive(child) for child in extraction)
    more = half["processed_items"] + 1
    resumed = await job_when(http, job_id, lambda job: job["processed_items"] > more)
    assert time.monotonic() - killed < LEASE + 5
    assert resumed["processed_items"] > half["processed_items"]
    done = await job_when(http, job_id, lambda job: job["completed_at"] is not None)

    assert (done["status"], done["processed_items"], done["attempt"]) == ("completed", PAGES, 2)
    pages = (await http.get(f"/documents/{document_id}/pages?limit=200&offset=4800")).json()
    assert pages["total"] == PAGES
    assert [page["page_number"] for page in pages["items"]] == list(range(4801, PAGES + 1))
    assert all(page["text"].startswith(f"{page['page_number']}:") for page in pages["items"])
    events = (await http.get(f"/jobs/{job_id}/events")).json()["events"]
    assert [event["kind"] for event in events].count("recovered") == 1


@everywhere
async def test_curl_as_in_the_readme(
    service: Service, http: httpx.AsyncClient, engine: str, tmp_path: Path
) -> None:
    service.start(*worker_command(engine))
    path = make_pdf(tmp_path / "small.pdf", ["first page", "second page"])

    document_id, job_id = await upload(http, path)
    job = await job_when(http, job_id, lambda job: job["completed_at"] is not None)

    assert (job["status"], job["progress_percent"], job["total_items"]) == ("completed", 100, 2)
    index = job["result"]["next_job_id"]
    job = await job_when(http, index, lambda job: job["completed_at"] is not None)
    assert (job["job_type"], job["status"]) == ("ingest_index", "completed")
    document = (await http.get(f"/documents/{document_id}")).json()
    assert (document["status"], document["page_count"]) == ("ready", 2)
    found = (await http.get("/search", params={"q": "second"})).json()
    assert [hit["page_number"] for hit in found["results"]][:1] == [2]
    assert service.call("headway", "jobs", "show", job_id, "--json")


@in_production_and_when_there_is_time_elsewhere
async def test_a_kind_goes_to_the_queue_that_it_is_routed_to(
    service: Service, http: httpx.AsyncClient, engine: str, tmp_path: Path
) -> None:
    """The API routes by its own QUEUE_ROUTES; only the worker of that queue takes the job."""
    if engine == "arq":
        others = service.start(*worker_command("arq"))
        own: tuple[str, ...] = worker_command("arq")
    else:
        others = service.start(*worker_command("database"), "--queue", "default")
        own = (*worker_command("database"), "--queue", "reading")
    _document, job_id = await upload(http, make_pdf(tmp_path / "small.pdf", ["a page"]))
    await asyncio.sleep(1.5)
    waiting = (await http.get(f"/jobs/{job_id}")).json()
    assert (waiting["status"], waiting["queue"]) == ("queued", "reading")

    service.start(*own, QUEUE_NAME="reading")

    done = await job_when(http, job_id, lambda job: job["completed_at"] is not None)
    assert done["status"] == "completed"
    assert others.poll() is None
