"""Where the databases of real phones lie, and a way to see that nobody has touched them."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

IOS = Path(__file__).parents[3] / "shared" / "data" / "ios"
EXPECTED = IOS / "iLEAPP" / "_expected"


def fixture(case: str, phone: str, name: str) -> Path:
    """A database of one of iLEAPP's test phones."""
    (found,) = (IOS / "iLEAPP" / f"{case}.{phone}").rglob(name)
    return found


def contents(folder: Path) -> dict[str, str]:
    """For every file of a folder the sha256 of what is in it."""
    files = (path for path in folder.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def from_schema(folder: Path, name: str) -> Path:
    """An empty database of a real generation; its triggers call functions of the phone."""
    wanted = ("CREATE TABLE", "CREATE INDEX", "CREATE UNIQUE")
    path = folder / "empty.db"
    with closing(sqlite3.connect(path)) as db:
        lines = (IOS / name).read_text().splitlines(keepends=True)
        script = "".join(line for line in lines if not line.startswith("--"))
        for statement in script.replace(";\n", ";\0").split("\0"):
            if statement.lstrip().startswith(wanted) and "sqlite_sequence" not in statement:
                db.execute(statement)
    return path
