import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.catalogue import registry
from tests.cli.conftest import HAS_MIGRATIONS, Terminal

# Until there is a revision, the demo's own process makes the tables; its children find them.
WITH_TABLES = """
import sys
import app.catalogue
from app import migrate
from app.cli import main
from app.core.db import Base
async def upgrade(db):
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
migrate.upgrade = upgrade
main()
"""


@pytest.mark.skipif("backup_index" not in registry(), reason="no domain in the catalogue yet")
def test_the_demo_completes_everything_and_leaves_nothing(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, {"TMPDIR": str(tmp_path), "DATABASE_URL": "postgresql://no/no"})
    if not HAS_MIGRATIONS:
        terminal = replace(terminal, program=("-c", WITH_TABLES))
    began = time.monotonic()

    done = terminal.run("demo", "--json")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {job["status"] for job in report["jobs"]} == {"completed"}
    assert report["facts"]["messages"] > 18_000
    assert report["facts"]["pages"] == 3122
    assert list(tmp_path.glob("headway-demo-*")) == []
    assert time.monotonic() - began < 40
