import json
import time
from pathlib import Path

from app.chaos.servers import Valkey
from tests.cli.conftest import Rows, Terminal

NAMES = ["database", "Redis", "migrations", "model", "blob store", "disk"]
AWAY = {
    "DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:9/headway",
    "REDIS_URL": "redis://:hunter2@127.0.0.1:9/0",
    "BLOB_URL": "file:///proc/nowhere",
}


def test_with_everything_away_it_names_the_mends_at_once(terminal: Terminal) -> None:
    began = time.monotonic()
    done = terminal.run("doctor", **AWAY)
    took = time.monotonic() - began

    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert [line[:12].strip() for line in lines] == NAMES
    failed = {line[:12].strip() for line in lines if line[13:17] == "FAIL"}
    assert failed == {"database", "Redis", "migrations", "blob store"}
    assert all("to mend it:" in line for line in lines if "FAIL" in line)
    assert "hunter2" not in done.stdout + done.stderr
    assert took < 6  # on a noisy machine; 3 s of its own


def test_after_an_upgrade_it_is_content(tmp_path: Path, valkey: Valkey) -> None:
    terminal = Terminal(tmp_path, {"DATA_DIR": str(tmp_path / "new")})
    assert terminal.json("db", "upgrade")["migrations"] == "ok"

    done = terminal.run("doctor", REDIS_URL=valkey.url)

    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert [line[:12].strip() for line in lines][:6] == NAMES
    assert {line[13:17] for line in lines} == {"ok  "}, done.stdout


async def test_jobs_that_nobody_takes_are_a_warning(terminal: Terminal, rows: Rows) -> None:
    await rows.ask()

    found = {check["name"]: check for check in terminal.json("doctor")["checks"]}

    assert found["workers"]["state"] == "warn"
    assert "nobody takes 1 prune in default" in found["workers"]["detail"]
    assert found["Redis"]["detail"].startswith("not used")


def test_without_a_database_it_says_how_to_make_one(terminal: Terminal) -> None:
    done = terminal.run("doctor", "--json", DATA_DIR=str(terminal.folder / "none"))

    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert "headway db upgrade" in found["database"]["detail"]
    assert not (terminal.folder / "none" / "headway.db").exists()
