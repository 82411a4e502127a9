"""`headway demo`: the real API and a real worker on the embedded default, at work on real input."""

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from app.cli.client import Job
from app.cli.demo_house import House, Input, sample_input
from app.cli.demo_notes import write_notes
from app.cli.errors import FAILED
from app.cli.output import JsonFlag, console, emit, print_table, quiet
from app.cli.over_http import HttpJobs
from app.cli.progress import Board, board, follow, items
from app.core import loops

app = typer.Typer()

_Asked = dict[str, str]
"""Names by job id."""


@app.command()
def demo(
    backup: Annotated[
        Path | None,
        typer.Option(
            help="An iPhone backup's folder, instead of a made-up one.",
            exists=True,
            file_okay=False,
            resolve_path=True,
        ),
    ] = None,
    pdf: Annotated[
        list[Path] | None,
        typer.Option(
            help="A PDF, instead of made-up ones; may be repeated.",
            exists=True,
            dir_okay=False,
            resolve_path=True,
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the data folder there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Index a backup and PDFs with live progress, in a folder of its own that goes afterwards.

    Exit code 0 only if every job completed.
    """
    quiet()
    folder = Path(tempfile.mkdtemp(prefix="headway-demo-"))
    try:
        report = loops.run(_stoppable(_demo(folder, backup, pdf or [], as_json=as_json)))
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        emit(report | {"data_dir": str(folder) if keep else None})
    elif keep:
        print(f"The data is in {folder}: DATA_DIR={folder} headway up")
    if not report["ok"]:
        raise typer.Exit(FAILED)


async def _stoppable(work: Any) -> dict[str, Any]:
    """Do the work; SIGTERM cancels it, so that whatever it started is ended."""
    task: asyncio.Task[dict[str, Any]] = asyncio.create_task(work)
    with suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None


async def _demo(
    folder: Path, backup: Path | None, pdfs: list[Path], *, as_json: bool
) -> dict[str, Any]:
    began = time.monotonic()
    say = console(stderr=as_json).print
    say("Starting the API and a worker on SQLite, with no Redis …")
    async with House(folder, [backup.parent] if backup else []) as house:
        given = await asyncio.to_thread(sample_input, folder, backup, pdfs)
        token = await house.token()
        say(f"Headway is at {house.url}; ready after {time.monotonic() - began:.1f} s")
        async with HttpJobs(house.url, token, through_proxies=False) as api:
            asked, wanted = await _ask(api, given)
            with board(asked, silent=as_json) as shown:
                chains = await asyncio.gather(
                    *(_to_the_end(api, each, asked, shown) for each in list(asked))
                )
            jobs = [job for chain in chains for job in chain]
            facts = await _facts(api, wanted)
            found = await _found(api, given.questions)
    report = {
        "ok": all(job["status"] == "completed" for job in jobs),
        "jobs": jobs,
        "facts": facts,
        "found": found,
        "seconds": round(time.monotonic() - began, 1),
    }
    if not as_json:
        _print(report, asked)
    return report


async def _ask(api: HttpJobs, given: Input) -> tuple[_Asked, list[tuple[str, str]]]:
    """Send the input; the jobs by id, and the resources (path, name) that they belong to."""
    asked, wanted = {}, []
    body = {"path": str(given.backup), "name": given.backup.name}
    answer = await api.ask_patiently("POST", "/backups", json=body)
    asked[answer["job_id"]] = f"backup {given.backup.name}"
    wanted.append((f"/backups/{answer['backup_id']}", given.backup.name))
    for path in given.pdfs:
        upload = {"file": (path.name, await asyncio.to_thread(path.read_bytes), "application/pdf")}
        answer = await api.ask_patiently("POST", "/documents", files=upload)
        asked[answer["job_id"]] = f"document {path.name}"
        wanted.append((f"/documents/{answer['document_id']}", path.name))
    asked[await write_notes(api)] = "embeddings of notes"
    return asked, wanted


async def _to_the_end(api: HttpJobs, job_id: str, names: _Asked, shown: Board) -> list[Job]:
    """Show a job, and whichever it hands over to, until all have ended."""
    jobs = [await follow(api, UUID(job_id), shown)]
    while child := (jobs[-1]["result"] or {}).get("next_job_id"):
        names[child] = f"index of {names[job_id].removeprefix('document ')}"
        jobs.append(await follow(api, UUID(child), shown))
    return jobs


async def _facts(api: HttpJobs, wanted: list[tuple[str, str]]) -> dict[str, int]:
    """What is there now, read back over HTTP."""
    notes = await api.ask("GET", "/notes", params={"limit": 1})
    facts: dict[str, int] = {"pages": 0, "chunks": 0, "written_notes": notes["total"]}
    for path, _name in wanted:
        if path.startswith("/backups/"):
            for name, count in (await api.ask("GET", path))["counts"].items():
                facts[name] = facts.get(name, 0) + count
        else:
            page = await api.ask("GET", f"{path}/pages", params={"limit": 1})
            facts["pages"] += page["total"]
            facts["chunks"] += (await api.ask("GET", path))["chunk_count"]
    return facts


async def _found(api: HttpJobs, questions: Sequence[str]) -> list[dict[str, Any]]:
    """The first thing that each question finds, over everything together."""
    found = []
    for question in questions:
        answer = await api.ask("GET", "/search", params={"q": question, "limit": 1})
        first = answer["results"][0] if answer["results"] else {}
        found.append(
            {
                "q": question,
                "total": answer["total"],
                "kind": first.get("kind"),
                "title": first.get("title"),
                "snippet": first.get("snippet"),
            }
        )
    return found


def _print(report: dict[str, Any], names: _Asked) -> None:
    console().print()
    print_table(
        ("job", "status", "items", "seconds"),
        ((names[job["job_id"]], _status(job), items(job), _took(job)) for job in report["jobs"]),
    )
    facts = report["facts"]
    console().print()
    print("Over HTTP: " + ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in facts.items()))
    if report["found"]:
        console().print()
        rows = ((f["q"], f["kind"], f["title"], f["snippet"]) for f in report["found"])
        print_table(("search", "finds a", "called", "that says"), rows)
    print(f"All in {report['seconds']} s")


def _status(job: Job) -> str:
    return f"{job['status']}: {job['error_message']}" if job["error_message"] else job["status"]


def _took(job: Job) -> str | None:
    """Seconds from start to end."""
    if not (job["started_at"] and job["completed_at"]):
        return None
    ends = [datetime.fromisoformat(job[name]) for name in ("started_at", "completed_at")]
    return f"{(ends[1] - ends[0]).total_seconds():.1f}"
