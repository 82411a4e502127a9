"""Jobs on their way, before a person's eyes: live bars on a terminal, else a line per change."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from app.cli.client import Job, Jobs
from app.cli.output import console
from app.core.errors import TooMany, Unavailable

_PATIENCE_SECONDS = 20.0  # for an API or a database that goes away while we watch
COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


class Board(Protocol):
    """Shows jobs; used as a context manager while they change."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, job: Job) -> None:
        """The job stands like this now."""
        ...


def board(names: Mapping[str, str] | None = None, *, silent: bool = False) -> Board:
    """Bars on a terminal, lines elsewhere, nothing when `silent`; `names` are labels by job id."""
    if silent:
        return _Silent({})
    screen = console()
    return Bars(names or {}, screen) if screen.is_terminal else _Lines(names or {})


async def follow(jobs: Jobs, job_id: UUID, shown: Board) -> Job:
    """Show the job until it has ended; an API that restarts meanwhile is waited for.

    Raises:
        NotFound: there is no such job.
        Unavailable: nobody answers, at the beginning or for a while.
    """
    seen = await jobs.one(job_id)
    shown.show(seen.job)
    heard = time.monotonic()
    while not seen.ended:
        try:
            async with aclosing(jobs.changes(job_id, seen)) as changes:
                async for seen in changes:
                    heard = time.monotonic()
                    shown.show(seen.job)
        except (Unavailable, TooMany) as error:
            if time.monotonic() - heard > _PATIENCE_SECONDS:
                raise
            await asyncio.sleep(error.retry_after or 0.5)
            with suppress(Unavailable, TooMany):  # what has changed meanwhile; and it may be gone
                await jobs.one(job_id)
                heard = time.monotonic()
    return seen.job


def items(job: Job) -> str:
    """`120/150`, with the failed ones named; empty before the total is known."""
    done, total, failed = job["processed_items"], job["total_items"], job["failed_items"]
    if total is None:
        return f"{done:,}" if done else ""
    counted = f"{done + failed:,}/{total:,}"
    return f"{counted} ({failed:,} failed)" if failed else counted


def pace(job: Job) -> str:
    """Rate and time left, as far as they are known."""
    rate, left = job["items_per_second"], job["eta_seconds"]
    parts = [] if rate is None else [f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"]
    if left is not None:
        minutes, seconds = divmod(round(left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return ", ".join(parts)


def state(job: Job) -> str:
    """Where it stands in a word: its stage while it runs."""
    if job["status"] == "running":
        return "stopping" if job["cancel_requested"] else job["stage"] or "running"
    if job["status"] == "queued" and job["scheduled_at"]:
        return f"queued until {job['scheduled_at'][11:19]}"
    return str(job["status"])


class _Silent:
    """Shows nothing."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, job: Job) -> None:
        """Show nothing."""

    def _name(self, job: Job) -> str:
        return self._names.get(job["job_id"], f"{job['job_type']} {job['job_id'][-12:]}")


class _Lines(_Silent):
    """A line whenever percent or state has changed."""

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__(names)
        self._told: dict[str, tuple[int, str]] = {}

    def show(self, job: Job) -> None:
        """Print a line, unless it would say the same again."""
        told = job["progress_percent"], state(job)
        if self._told.get(job["job_id"]) == told:
            return
        self._told[job["job_id"]] = told
        parts = [items(job), pace(job), job["error_message"] or ""]
        facts = "  ".join(part for part in parts if part)
        print(f"{self._name(job)}  {told[0]:3d} %  {told[1]}  {facts}".rstrip(), flush=True)


class Bars(_Silent):
    """A live bar per job."""

    def __init__(self, names: Mapping[str, str], screen: Console) -> None:
        super().__init__(names)
        self._progress = Progress(
            TextColumn("{task.fields[name]}"),
            BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[state]}"),
            TextColumn("{task.fields[items]}"),
            TextColumn("[dim]{task.fields[pace]}"),
            console=screen,
            expand=True,
        )
        self._bars: dict[str, TaskID] = {}

    def drawn(self) -> RenderableType:
        """The bars as they stand, for whoever draws them himself."""
        return self._progress.get_renderable()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, job: Job) -> None:
        """Move the job's bar."""
        colour = COLOURS.get(job["status"], "default")
        fields: dict[str, Any] = {
            "name": escape(self._name(job)),
            "state": f"[{colour}]{escape(state(job))}[/]",
            "items": items(job),
            "pace": pace(job),
        }
        bar = self._bars.get(job["job_id"])
        if bar is None:
            bar = self._progress.add_task("", total=100, **fields)
            self._bars[job["job_id"]] = bar
        self._progress.update(bar, completed=job["progress_percent"], **fields)
