import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from app.api.auth import create_token
from app.cli import tokens
from app.core.db import Database
from app.core.errors import NotFound
from app.jobs.maintenance import Prune, prune, rescue
from app.jobs.store import workers as signed_in
from app.resources import open_resources
from app.settings import Settings
from tests.cli.conftest import Rows, Terminal, Up, finished, headway_up, wait_until
from tests.harness import JobHarness


@pytest.fixture(scope="module")
def house(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    folder = tmp_path_factory.mktemp("up")
    (folder / "headway.db").write_bytes(migrated_file.read_bytes())
    return Terminal(folder)


@pytest.fixture(scope="module")
def up(house: Terminal) -> Iterator[Up]:
    with headway_up(house) as running:
        yield running


@pytest.fixture(scope="module")
def token(house: Terminal, up: Up) -> str:
    made = house.run("token", "create", "root", "--admin")
    assert made.returncode == 0, made.stderr
    house.environment |= {"HEADWAY_URL": up.url, "HEADWAY_TOKEN": made.stdout.strip()}
    return made.stdout.strip()


def workers(up: Up, token: str) -> list[str]:
    answer = httpx.get(f"{up.url}/workers", headers={"Authorization": f"Bearer {token}"})
    return [worker["id"] for worker in answer.json()["workers"]]


async def test_a_job_is_done_by_its_worker_and_watched_over_http(
    house: Terminal, token: str
) -> None:
    settings = Settings(_env_file=None, data_dir=house.folder)
    async with open_resources(settings) as resources:
        job_id = str(await JobHarness(resources, [prune, rescue]).ask(Prune()))

    watched = house.run("jobs", "watch", job_id)
    shown = house.json("jobs", "show", job_id)
    listed = house.json("jobs", "list", "--kind", "prune", "--limit", "1")

    assert watched.returncode == 0, watched.stderr
    assert "completed" in watched.stdout
    assert [event["kind"] for event in shown["events"]][-1] == "completed"
    assert listed["total"] >= 1


def test_cancel_and_missing_over_http(house: Terminal, token: str) -> None:
    ended = house.json("jobs", "list", "--status", "completed")["jobs"][0]["job_id"]
    conflict = house.open("jobs", "cancel", ended)
    missing = house.open("jobs", "show", "01a2006d-4833-7a23-b68f-b1ce36b6aebb")
    stranger = house.open("jobs", "list", HEADWAY_TOKEN="hw_stranger")

    done = [finished(process) for process in (conflict, missing, stranger)]

    assert [run.returncode for run in done] == [1, 4, 2]
    assert done[0].stderr == "headway: the job is already completed\n"
    assert done[1].stderr == "headway: there is no such job\n"


def test_a_token_opens_the_api_until_it_is_revoked(house: Terminal, up: Up) -> None:
    made = house.json("token", "create", "ann", "--days", "2")["token"]
    ann = {"Authorization": f"Bearer {made}"}
    assert httpx.get(f"{up.url}/jobs", headers=ann).json()["total"] == 0
    assert httpx.get(f"{up.url}/workers", headers=ann).status_code == 403
    (kept,) = [t for t in house.json("token", "list")["tokens"] if t["user"] == "ann"]
    assert made.endswith(kept["hint"])
    assert kept["expires_at"] is not None
    assert made not in str(kept)

    assert house.run("token", "revoke", kept["id"][:30]).stdout == f"revoked {kept['id']}\n"

    wait_until(lambda: httpx.get(f"{up.url}/jobs", headers=ann).status_code == 401, 5.5)


async def test_a_token_ends_by_itself_and_by_its_users_name(db: Database) -> None:
    async with db.transaction() as session:
        first, _second = [await create_token(session, "bob") for _ in range(2)]

        assert len(await tokens.revoke_any(session, first)) == 1
        assert len(await tokens.revoke_any(session, "bob")) == 1
        with pytest.raises(NotFound):
            await tokens.revoke_any(session, "bob")


def test_a_killed_worker_is_started_again_and_the_api_stays(
    house: Terminal, up: Up, token: str
) -> None:
    wait_until(lambda: workers(up, token))
    (before,) = workers(up, token)
    os.kill(int(before.split(":")[3]), signal.SIGKILL)

    wait_until(lambda: [each for each in workers(up, token) if each != before])

    assert httpx.get(f"{up.url}/healthz").status_code == 200
    assert '"exit_code": -9' in (house.folder / "up.log").read_text()


def ended(terminal: Terminal, job_id: UUID) -> bool:
    lines = (terminal.folder / "up.log").read_text().splitlines()
    return any('"job ended"' in line and str(job_id) in line for line in lines)


async def test_sigterm_ends_both_in_time_and_with_0(terminal: Terminal, rows: Rows) -> None:
    with headway_up(terminal) as running:
        job_id = await rows.ask()
        wait_until(lambda: ended(terminal, job_id))  # not a cron job of this minute
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)

        assert running.process.wait(10) == 0

        assert time.monotonic() - began < 10
    assert await rows.status(job_id) == "completed"
    async with rows.harness.resources.db.reading() as session:
        assert await signed_in.alive(session, 60) == []


def test_a_taken_port_and_a_strange_host_are_said_in_a_line(
    house: Terminal, terminal: Terminal, up: Up
) -> None:
    port = up.url.rpartition(":")[2]
    taken = terminal.open("up", "--port", port)
    strange = terminal.open("up", "--host", "no.such.host.invalid")

    done = [finished(process) for process in (taken, strange)]

    assert [run.returncode for run in done] == [1, 2]
    assert f"cannot listen on 127.0.0.1:{port}" in done[0].stderr


def test_up_without_tls_on_a_network_says_so(terminal: Terminal) -> None:
    with terminal.open("up", "--host", "0.0.0.0", "--port", "0", LOG_FORMAT="json") as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGINT)
        done = finished(process, 12)

    assert done.returncode == 0
    assert told[0].startswith("Headway is at http://127.0.0.1:")
    assert "headway token create" in told[1]
    assert "without TLS" in done.stderr
