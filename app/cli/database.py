"""`headway db`: the schema."""

from pathlib import Path

import typer

from app import migrate
from app.cli.output import JsonFlag, emit, quiet
from app.core import loops
from app.core.db import Database
from app.settings import load_settings

app = typer.Typer(help="Bring the database to the newest schema.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A group, although it has one command so far."""


@app.command()
def upgrade(as_json: JsonFlag = False) -> None:
    """Apply every migration that is missing; an SQLite file is made if there is none."""
    settings = load_settings()
    quiet()
    address = loops.run(bring_up_to_date(settings.database_url))
    if as_json:
        emit({"database": address, "migrations": "ok"})
    else:
        print(f"{address} has the newest schema")


async def bring_up_to_date(url: str) -> str:
    """Migrate the database at `url`; the address without its password."""
    db = Database(url)
    if db.is_sqlite and db.url.database:
        _make_folder(Path(db.url.database))
    try:
        await migrate.upgrade(db)
    finally:
        await db.close()
    return db.safe_url


def _make_folder(path: Path) -> None:
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
