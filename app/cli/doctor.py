"""`headway doctor`: everything Headway needs, one line each, with the mend."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.markup import escape

from app.cli import queue_checks
from app.cli.checks import (
    BAD,
    FINE,
    WARNING,
    Finding,
    blob_store,
    database,
    disk,
    migrations,
    model,
)
from app.cli.errors import FAILED
from app.cli.output import JsonFlag, console, emit, quiet
from app.core import loops
from app.core.db import Database
from app.settings import Settings, load_settings

app = typer.Typer()

_COLOURS = {FINE: "green", WARNING: "yellow", BAD: "bold red"}
_NAME_WIDTH = 12


@app.command()
def doctor(as_json: JsonFlag = False) -> None:
    """Look at everything Headway needs, and say how to mend it.

    One line for each: database, Redis, migrations, model, blob store, disk, and what else is
    worth knowing. Exit code 1 if any of them fails; a warning does not count.
    """
    settings = load_settings()
    quiet()
    found = loops.run(_examine(settings))
    well = all(each.state != BAD for each in found)
    if as_json:
        emit({"ok": well, "checks": [asdict(each) for each in found]})
    else:
        for each in found:
            _print(each)
    if not well:
        raise typer.Exit(FAILED)


def _print(found: Finding) -> None:
    mend = f"; to mend it: {found.mend}" if found.mend else ""
    line = escape(f"{found.detail}{mend}")
    colour = _COLOURS[found.state]
    name = found.name.ljust(_NAME_WIDTH)
    console().print(f"{name} [{colour}]{found.state:<4}[/] {line}", soft_wrap=True)


async def _examine(settings: Settings) -> list[Finding]:
    """Every finding; those on the table of jobs only when there is one."""
    db = Database(settings.database_url)
    rest: Sequence[Finding] = ()
    try:
        first = await asyncio.gather(
            database(db),
            queue_checks.redis(settings),
            migrations(db),
            model(settings),
            blob_store(settings),
            disk(settings),
        )
        if all(each.state != BAD for each in (first[0], first[2])):
            rest = await asyncio.gather(queue_checks.queues(db), queue_checks.leases(db))
    finally:
        await db.close()
    return [*first, *rest]
