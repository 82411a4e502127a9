"""The database that the settings name, for commands that work on it directly."""

from pathlib import Path

from app.core.db import Database
from app.core.errors import Unavailable


def require_database(db: Database) -> None:
    """Raise `Unavailable` for an SQLite file that is not there: opening it would make one."""
    path = db.url.database
    if db.is_sqlite and path and path != ":memory:" and not Path(path).is_file():
        raise Unavailable(f"there is no database at {path} yet: run `headway db upgrade`")
