from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from app.catalogue import registry
from app.chaos.servers import Valkey
from app.cli import worker
from app.jobs.engines import open_queue
from app.jobs.maintenance import Prune
from tests.cli.conftest import Rows, Terminal


async def test_a_burst_for_redis_does_what_was_rung_for(
    terminal: Terminal, rows: Rows, valkey: Valkey
) -> None:
    resources = rows.harness.resources
    settings = resources.settings.model_copy(update={"redis_url": SecretStr(valkey.url)})
    async with (
        open_queue(replace(resources, settings=settings), registry()) as queue,
        resources.db.transaction() as session,
    ):
        stored = await queue.enqueue(session, Prune())

    done = terminal.run("worker", "--burst", "--concurrency", "1", "--json", REDIS_URL=valkey.url)

    assert done.returncode == 0, done.stderr
    assert '"engine": "arq"' in done.stderr
    assert await rows.status(stored.id) == "completed"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--engine", "arq", "--queue", "one", "--queue", "two"),
        ("--engine", "arq", "--kind", "prune"),
        ("--kind", "nonsense"),
        ("--queue", "a queue"),
        ("--concurrency", "0"),
    ],
)
def test_what_cannot_be_is_a_usage_error(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    assert CliRunner().invoke(worker.app, arguments).exit_code == 2


async def test_a_worker_of_one_queue_leaves_the_others_alone(
    terminal: Terminal, rows: Rows
) -> None:
    job_id = await rows.ask()

    done = terminal.run("worker", "--engine", "database", "--queue", "other", "--burst")

    assert done.returncode == 0
    assert await rows.status(job_id) == "queued"


async def test_the_backup_worker_claims_nothing_else(
    terminal: Terminal, rows: Rows, valkey: Valkey
) -> None:
    job_id = await rows.ask()
    program = replace(terminal, program=("-c", "from app.cli import ios_backup_worker as w; w()"))

    done = program.run("--burst", "--json", REDIS_URL=valkey.url)

    assert done.returncode == 0, done.stderr
    assert "registered tasks: index_backup" in done.stderr
    assert await rows.status(job_id) == "queued"


def test_help_loads_nothing_heavy(terminal: Terminal) -> None:
    code = "import sys; sys.argv = ['headway', '--help']\nimport app.cli\ntry: app.cli.main()\n"
    code += "finally: print(sorted({'sqlalchemy', 'fastapi', 'pydantic'} & set(sys.modules)))"

    done = replace(terminal, program=("-c", code)).run()

    assert done.returncode == 0
    assert done.stdout.endswith("[]\n")
    for name in ("demo", "up", "worker", "jobs", "token", "db", "maintenance", "doctor"):
        assert name in done.stdout
