import json
from uuid import uuid4

from app.jobs.store import people
from tests.cli.conftest import Rows, Terminal, finished


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
