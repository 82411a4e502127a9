"""A database written row by row, for tests of one meaning each."""

import random
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Tables:
    """A database with the given tables, of untyped columns, and whatever a test adds."""

    def __init__(self, path: Path, tables: Mapping[str, str]) -> None:
        self.path = path
        self.tables = dict(tables)
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(
            "PRAGMA page_size=1024; PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF"
        )
        for name, columns in tables.items():
            self.db.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {columns})")

    def add(self, table: str, **columns: Any) -> int:
        """Add a row; gives its rowid, which `id` may set."""
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        rowid = self.db.execute(sql, list(columns.values())).lastrowid
        assert rowid is not None
        return rowid

    def columns(self, table: str) -> list[str]:
        return [row[1] for row in self.db.execute(f"PRAGMA table_info({table})")]

    def damaged(self, path: Path, seed: int, pages: int = 1) -> Path:
        """A copy with some pages, never the first one, overwritten by noise."""
        shutil.copy(self.path, path)
        chance = random.Random(seed)
        size = path.stat().st_size // 1024
        with path.open("r+b") as file:
            for page in chance.sample(range(1, size), min(pages, size - 1)):
                file.seek(page * 1024)
                file.write(chance.randbytes(1024))
        return path
