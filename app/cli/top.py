"""`headway top`: queues, workers and running jobs on one screen, as they change."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.cli.client import Job, Jobs
from app.cli.jobs import asked
from app.cli.output import JsonFlag, console, emit
from app.cli.progress import COLOURS, items, pace, state
from app.core.clock import utcnow

app = typer.Typer()

_ROWS = 30  # running and newest jobs that are shown


@app.command()
def top(
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between looks.")] = 1.0,
    as_json: JsonFlag = False,
) -> None:
    """Show queues, workers and jobs as they change, until Ctrl-C.

    Where nobody watches (no terminal, or --json) it looks once.
    """

    async def work(jobs: Jobs) -> None:
        if as_json:
            emit(await _look(jobs))
            return
        screen = console()
        if not screen.is_terminal:
            screen.print(drawn(await _look(jobs)))
            return
        with Live(console=screen, screen=True, auto_refresh=False) as live:
            async for seen in _looks(jobs, interval):
                live.update(drawn(seen), refresh=True)

    asked(work)


async def _looks(jobs: Jobs, interval: float) -> AsyncGenerator[dict[str, Any]]:
    while True:
        yield await _look(jobs)
        await asyncio.sleep(interval)


async def _look(jobs: Jobs) -> dict[str, Any]:
    """Queues, workers (None: not for this caller), running jobs and the newest of all."""

    async def page(status: str | None) -> tuple[list[Job], int]:
        return await jobs.page(status=status, kind=None, limit=_ROWS, offset=0)

    queues, workers, running, newest = await asyncio.gather(
        jobs.queues(), jobs.workers(), page("running"), page(None)
    )
    known = {job["job_id"] for job in running[0]}
    others = [job for job in newest[0] if job["job_id"] not in known]
    return {"queues": queues, "workers": workers, "jobs": (running[0] + others)[:_ROWS]}


def drawn(seen: dict[str, Any]) -> Group:
    """One look on one screen."""
    parts: list[Any] = [_queues(seen["queues"])]
    if seen["workers"] is not None:
        parts += [Text(), _workers(seen["workers"])]
    return Group(*parts, Text(), _jobs(seen["jobs"]))


def _queues(queues: list[dict[str, Any]]) -> Table:
    table = _table("queue", "running", "ready", "scheduled", "failed today", "oldest waits")
    for each in queues:
        failed = each["failed_today"]
        table.add_row(
            escape(each["queue"]),
            f"[cyan]{each['running']:,}[/]",
            f"{each['ready']:,}",
            f"{each['scheduled']:,}",
            f"[red]{failed:,}[/]" if failed else "0",
            f"{each['oldest_seconds']:,.0f} s" if each["ready"] else "",
        )
    return table


def _workers(workers: list[dict[str, Any]]) -> Table:
    table = _table("worker on", "running", "of", "engine", "queues")
    for each in workers:
        queues = ", ".join(each["queues"]) or "all"
        cells = (each["host"], each["running"], each["max_jobs"], each["engine"], queues)
        table.add_row(*(escape(str(cell)) for cell in cells))
    if not workers:
        table.add_row("[yellow]none seen in the last seconds[/]")
    return table


def _jobs(jobs: list[Job]) -> Table:
    table = _table("job", "", "%", "state", "items", "pace", "asked", numbers=False)
    for job in jobs:
        colour = COLOURS.get(job["status"], "default")
        table.add_row(
            f"{escape(job['job_type'])} [dim]{job['job_id'][-8:]}[/]",
            _bar(job),
            str(job["progress_percent"]),
            f"[{colour}]{escape(state(job))}[/]",
            items(job),
            f"[dim]{pace(job)}[/]",
            _age(job["created_at"]),
        )
    return table


def _bar(job: Job) -> ProgressBar:
    done, colour = job["progress_percent"], COLOURS.get(job["status"], "default")
    return ProgressBar(
        total=100, completed=done, width=16, complete_style=colour, finished_style=colour
    )


def _age(moment: str) -> str:
    seconds = max(0, round((utcnow() - datetime.fromisoformat(moment)).total_seconds()))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d} ago" if hours else f"{minutes}:{seconds:02d} ago"


def _table(*columns: str, numbers: bool = True) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold dim")
    for number, column in enumerate(columns):
        right = numbers and number > 0
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    return table
