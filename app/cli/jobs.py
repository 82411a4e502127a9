"""`headway jobs`: what was asked for, where it stands, and what to do about it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.console import Group
from rich.live import Live

from app.cli.client import Job, Jobs
from app.cli.errors import CANCELLED, FAILED, UNREACHABLE, explain
from app.cli.output import JsonFlag, console, emit, moment, print_table, quiet, table
from app.cli.progress import Board, board, follow, items, pace
from app.core import loops
from app.core.errors import NotFound, TooMany, Unavailable
from app.jobs.states import JobStatus
from app.settings import Settings, load_settings

app = typer.Typer(
    help="List, show, watch, cancel and retry jobs: over HTTP with HEADWAY_TOKEN, else in the "
    "table itself.",
    no_args_is_help=True,
)

T = TypeVar("T")

_JobId = Annotated[UUID, typer.Argument(metavar="ID", help="The job's id.")]
_LOOK_SECONDS = 1.0  # between two looks at a list that is watched
_CODES = {"completed": 0, "failed": FAILED, "cancelled": CANCELLED}


@app.command("list")
def list_jobs(
    status: Annotated[
        JobStatus | None, typer.Option(help="Only jobs that stand like this.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", "--type", help="Only jobs of this kind.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    offset: Annotated[int, typer.Option(min=0, max=1_000_000)] = 0,
    watching: Annotated[
        bool, typer.Option("--watch", help="Show the list again whenever it changes.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """List jobs, newest first.

    With --watch until Ctrl-C; --json then prints a line whenever the list has changed.
    """

    async def page(jobs: Jobs) -> tuple[list[Job], int]:
        return await jobs.page(status=status, kind=kind, limit=limit, offset=offset)

    def tell(found: list[Job], total: int) -> None:
        if as_json:
            emit({"jobs": found, "total": total})
        else:
            console().print(_listed(found, total))

    async def work(jobs: Jobs) -> None:
        if not watching:
            tell(*await page(jobs))
        elif as_json or not console().is_terminal:
            async for found, total in _lists(jobs, page):
                tell(found, total)
        else:
            with Live(console=console(), auto_refresh=False, screen=True) as live:
                async for found, total in _lists(jobs, page):
                    live.update(_listed(found, total), refresh=True)

    asked(work)


async def _lists(
    jobs: Jobs, page: Callable[[Jobs], Awaitable[tuple[list[Job], int]]]
) -> AsyncGenerator[tuple[list[Job], int]]:
    """The list, and again whenever it has changed; a lease renewal is no change."""
    told: Any = None
    while True:
        found, total = await page(jobs)
        seen = [{**job, "heartbeat_at": None} for job in found], total
        if seen != told:
            told = seen
            yield found, total
        await asyncio.sleep(_LOOK_SECONDS)


def _listed(found: list[Job], total: int) -> Group:
    columns = ("id", "kind", "status", "%", "items", "pace", "created", "error")
    rows = (
        (
            job["job_id"],
            job["job_type"],
            job["status"],
            job["progress_percent"],
            items(job),
            pace(job),
            moment(job["created_at"]),
            job["error_type"],
        )
        for job in found
    )
    more = [f"{len(found)} of {total}"] if total > len(found) else []
    return Group(table(columns, rows), *more)


@app.command()
def show(job_id: _JobId, as_json: JsonFlag = False) -> None:
    """Show one job and everything that happened to it."""

    async def work(jobs: Jobs) -> tuple[Job, list[dict[str, Any]]]:
        return (await jobs.one(job_id)).job, await jobs.events(job_id)

    job, events = asked(work)
    if as_json:
        emit({**job, "events": events})
        return
    facts = ((name, value) for name, value in job.items() if value is not None)
    print_table(("field", "value"), facts)
    console().print()
    told = ("at", "event", "attempt", "worker", "data")
    print_table(
        told,
        ((moment(e["at"]), e["kind"], e["attempt"], e["worker"], e["data"]) for e in events),
    )


@app.command()
def watch(
    job_ids: Annotated[list[UUID], typer.Argument(metavar="ID...", help="The jobs' ids.")],
    as_json: JsonFlag = False,
) -> None:
    """Watch jobs until all have ended.

    Exit code 0: completed, 1: failed, 3: cancelled, 4: not found or unreachable. Of several jobs
    4 goes before 1, and 1 before 3. With --json each job is printed once, when it has ended.
    """

    async def work(jobs: Jobs) -> list[int]:
        with board(silent=as_json) as shown:
            once = list(dict.fromkeys(job_ids))
            return await asyncio.gather(
                *(_until_ended(jobs, each, shown, as_json) for each in once)
            )

    codes = asked(work)
    worst = next((code for code in (UNREACHABLE, FAILED, CANCELLED) if code in codes), 0)
    raise typer.Exit(worst)


@app.command()
def cancel(job_id: _JobId, as_json: JsonFlag = False) -> None:
    """Cancel a queued job at once, or ask a running one to stop."""
    _tell(asked(lambda jobs: jobs.cancel(job_id)), as_json)


@app.command()
def retry(job_id: _JobId, as_json: JsonFlag = False) -> None:
    """Queue a failed or cancelled job again; it goes on from its checkpoint."""
    _tell(asked(lambda jobs: jobs.retry(job_id)), as_json)


async def _until_ended(jobs: Jobs, job_id: UUID, shown: Board, as_json: bool) -> int:
    try:
        job = await follow(jobs, job_id, shown)
    except (NotFound, TooMany, Unavailable) as error:
        print(f"headway: {job_id}: {explain(error)[0]}", file=console(stderr=True).file)
        return UNREACHABLE
    if as_json:
        emit(job)
    elif job["error_message"]:
        said = f"{job['job_type']} {job_id}: {job['error_type']}: {job['error_message']}"
        print(said, file=console(stderr=True).file)
    return _CODES[job["status"]]


def _tell(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit(answer)
    else:
        print(answer["message"])


def asked(work: Callable[[Jobs], Awaitable[T]]) -> T:
    """What `work` finds, asked in the way that the settings choose."""
    settings = load_settings()
    quiet()

    async def work_on_jobs() -> T:
        async with _open_jobs(settings) as jobs:
            return await work(jobs)

    return loops.run(work_on_jobs())


@asynccontextmanager
async def _open_jobs(settings: Settings) -> AsyncGenerator[Jobs]:
    """Jobs over HTTP when HEADWAY_TOKEN is set, else in the table; imports only what it takes."""
    if settings.headway_token is not None:
        from app.cli.over_http import HttpJobs  # noqa: PLC0415

        token = settings.headway_token.get_secret_value()
        async with HttpJobs(settings.headway_url, token) as over_http:
            yield over_http
        return
    from app.cli.in_table import TableJobs  # noqa: PLC0415

    async with TableJobs(settings) as in_table:
        yield in_table
