"""How results are printed: JSON for programs, tables and bars for people."""

import json
import logging
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.core.clock import wire

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ParentOption = Annotated[
    int | None, typer.Option(hidden=True, help="End when the process of this id has ended.")
]

_WIDE = 200  # columns where nobody's terminal limits them: nothing may be cut off


def emit(value: Any) -> None:
    """Print one JSON document on one line."""
    print(json.dumps(value, default=_plain, ensure_ascii=False), flush=True)


def console(*, stderr: bool = False) -> Console:
    """A console that cuts nothing off when it is not a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr, width=None if stream.isatty() else _WIDE, highlight=False, soft_wrap=False
    )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows below their columns; None is left empty."""
    console().print(table(columns, rows))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Rows below their columns; None is left empty."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, no_wrap=column in ("id", "job"), overflow="fold")
    for row in rows:
        made.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    return made


def moment(text: str | datetime | None) -> str | None:
    """A time to the second, in UTC."""
    if text is None:
        return None
    return (wire(text) if isinstance(text, datetime) else text)[:19].replace("T", " ")


def quiet() -> None:
    """Keep warnings of the machinery out of a command's output; its own errors are told."""
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return wire(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(type(value).__name__)
