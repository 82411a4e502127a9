import json
import subprocess
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import httpx

from app.api.examples import JOB
from app.chaos.servers import free_port
from app.jobs.store import people
from tests.cli.conftest import Rows, Terminal, finished, wait_until
from tests.databases import on_sqlite_and_when_there_is_time_on_postgresql


@on_sqlite_and_when_there_is_time_on_postgresql
async def test_jobs_are_listed_shown_cancelled_and_retried_in_the_table(
    either: Terminal, either_rows: Rows
) -> None:
    first, second = [str(await either_rows.ask()) for _ in range(2)]

    listed = either.json("jobs", "list", "--status", "queued")
    assert [job["job_id"] for job in listed["jobs"]] == [second, first]
    assert listed["total"] == 2

    assert either.json("jobs", "cancel", first)["status"] == "cancelled"
    again = either.run("jobs", "cancel", first)
    assert (again.returncode, again.stderr) == (1, "headway: the job is already cancelled\n")

    shown = either.json("jobs", "show", first)
    assert (shown["status"], shown["error_type"]) == ("cancelled", "cancelled")
    assert [event["kind"] for event in shown["events"]] == ["queued", "cancelled"]

    assert either.run("jobs", "retry", first).stdout == "The job is queued.\n"
    assert await either_rows.status(listed["jobs"][1]["job_id"]) == "queued"


async def test_the_table_for_people_cuts_nothing_off(terminal: Terminal, rows: Rows) -> None:
    job_id = await rows.ask_for_the_impossible()
    await rows.harness.run_all()

    asked = [terminal.open("jobs", "list"), terminal.open("jobs", "show", str(job_id))]
    listed, shown = [finished(process) for process in asked]

    assert str(job_id) in listed.stdout
    assert "bad_args" in listed.stdout
    assert "The job's arguments do not fit its kind." in shown.stdout


async def test_watch_ends_with_the_code_of_the_jobs_end(terminal: Terminal, rows: Rows) -> None:
    well, badly = await rows.ask(), await rows.ask_for_the_impossible()
    burst = terminal.run("worker", "--burst", "--json")
    assert burst.returncode == 0
    lines = [json.loads(line) for line in burst.stderr.splitlines()]
    assert lines[0]["event"] == "worker starting"
    stopped = await rows.ask()
    async with rows.harness.resources.db.transaction() as session:
        await people.cancel(session, stopped, None)

    watching = {
        0: terminal.open("jobs", "watch", str(well), "--json"),
        1: terminal.open("jobs", "watch", str(badly), str(well), str(stopped)),
        3: terminal.open("jobs", "watch", str(stopped)),
        4: terminal.open("jobs", "watch", str(uuid4()), str(badly)),
    }
    done = {code: finished(process) for code, process in watching.items()}

    assert {code: run.returncode for code, run in done.items()} == {c: c for c in watching}
    assert json.loads(done[0].stdout)["status"] == "completed"
    assert "bad_args: The job's arguments do not fit its kind." in done[1].stderr
    assert "there is no such job" in done[4].stderr


async def test_watch_waits_for_what_is_still_queued(terminal: Terminal, rows: Rows) -> None:
    job_id = await rows.ask()
    with terminal.open("jobs", "watch", str(job_id)) as watching:
        assert watching.stdout is not None
        assert "queued" in watching.stdout.readline()
        await rows.harness.run_all()
        done = finished(watching)

    assert done.returncode == 0
    assert "100 %  completed" in done.stdout


def test_nobody_there_is_4_and_nonsense_is_2(terminal: Terminal) -> None:
    somewhere = {"HEADWAY_URL": "http://127.0.0.1:9", "HEADWAY_TOKEN": "hw_x"}
    nobody = terminal.open("jobs", "watch", str(uuid4()), **somewhere)
    nonsense = terminal.open("jobs", "watch", "an id")
    nothing = terminal.open("jobs", "list", DATABASE_URL="sqlite:///nowhere.db")
    setting = terminal.open("jobs", "list", ARQ_MAX_JOBS="many")

    done = [finished(process) for process in (nobody, nonsense, nothing, setting)]

    assert [run.returncode for run in done] == [4, 2, 4, 2]
    assert "nobody answers at http://127.0.0.1:9" in done[0].stderr
    assert "run `headway db upgrade`" in done[2].stderr
    assert not (terminal.folder / "nowhere.db").exists()
    assert [run.stderr.count("\n") for run in (done[0], done[2], done[3])] == [1, 1, 1]
    assert "ARQ_MAX_JOBS" in done[3].stderr


class OldApi(ThreadingHTTPServer):
    """An API of before there were streams, or of before one could wait: it answers at once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.job = JOB | {"status": "running", "completed_at": None}
        self.version = 1
        self.paths: list[str] = []

    def move(self, **changes: object) -> None:
        self.job |= changes
        self.version += 1


class _Answers(BaseHTTPRequestHandler):
    server: OldApi

    def do_GET(self) -> None:
        self.server.paths.append(self.path.partition("/jobs/")[2].partition("/")[2] or self.path)
        tag = f'W/"{self.server.version}"'
        known = self.headers.get("If-None-Match") == tag
        streams = self.path.endswith("/stream")
        self.send_response(404 if streams else 304 if known else 200)
        body = b"{}" if streams else b"" if known else json.dumps(self.server.job).encode()
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def test_watch_asks_again_where_nothing_streams_or_waits(terminal: Terminal) -> None:
    with OldApi() as api:
        threading.Thread(target=api.serve_forever, daemon=True).start()
        where = {
            "HEADWAY_URL": f"http://127.0.0.1:{api.server_port}",
            "HEADWAY_TOKEN": "hw_x",
        }
        with terminal.open("jobs", "watch", str(JOB["job_id"]), "--json", **where) as watching:
            wait_until(lambda: any("wait=" in path for path in api.paths))
            api.move(status="failed", error_type="poison", error_message="it is poison")
            done = finished(watching)
        api.shutdown()

    assert done.returncode == 1
    assert json.loads(done.stdout)["error_type"] == "poison"
    assert api.paths.count("stream") == 1
    assert len(api.paths) < 20, "it hammered"


async def test_watch_over_a_stream_survives_a_restart_of_the_api(
    terminal: Terminal, rows: Rows
) -> None:
    job_id = await rows.ask()
    await rows.set(job_id, run_after=datetime.now(UTC) + timedelta(days=1))
    token = terminal.run("token", "create", "ann", "--admin").stdout.strip()
    port = free_port()
    where = {"HEADWAY_URL": f"http://127.0.0.1:{port}", "HEADWAY_TOKEN": token}

    def api() -> "subprocess.Popen[str]":
        serve = ("-m", "uvicorn", "app.main:app", "--log-level", "warning")
        started = replace(terminal, program=serve).open("--port", str(port))
        wait_until(lambda: up(port))
        return started

    first = api()
    with terminal.open("jobs", "watch", str(job_id), **where) as watching:
        assert watching.stdout is not None
        assert "queued" in watching.stdout.readline()
        first.terminate()
        finished(first)
        second = api()
        await rows.set(job_id, stage="counting", status="running", version=2)
        assert "counting" in watching.stdout.readline()
        await rows.set(job_id, status="completed", progress_percent=100, version=3)
        done = finished(watching)
    second.terminate()
    finished(second)

    assert done.returncode == 0
    assert "100 %  completed" in done.stdout


def up(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz").is_success
    return False


@on_sqlite_and_when_there_is_time_on_postgresql
async def test_list_and_top_show_what_changes(either: Terminal, either_rows: Rows) -> None:
    job_id = str(await either_rows.ask())
    with either.open("jobs", "list", "--watch", "--json") as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["jobs"][0]["status"] == "queued"
        await either_rows.harness.run_all()
        assert json.loads(watching.stdout.readline())["jobs"][0]["status"] == "completed"
        watching.kill()
        watching.communicate()

    waiting = str(await either_rows.ask())
    seen = either.json("top")
    shown = either.run("top").stdout

    assert [job["job_id"] for job in seen["jobs"]] == [waiting, job_id]
    assert (seen["queues"][0]["queue"], seen["queues"][0]["ready"]) == ("default", 1)
    assert seen["workers"] == []
    assert waiting[-8:] in shown
    assert "none seen" in shown
