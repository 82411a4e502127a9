"""Workers killed with -9 while they index: the tables are those of an undisturbed run."""

import asyncio
import sys
from typing import Any

import pytest

from app.backups.jobs import IndexBackup
from app.jobs.engines.inline import run_all
from tests.backups.house import BATCH, House, add_message, counts_of, items_of
from tests.backups.locking import locked_copy
from tests.databases import (
    on_postgresql_and_when_there_is_time_on_sqlite,
    on_sqlite_and_when_there_is_time_on_postgresql,
)


def killed_at(house: House, step: int) -> list[str]:
    resources = house.resources
    url = resources.db.url.render_as_string(hide_password=False)
    here = [url, str(resources.settings.data_dir), str(house.root), str(BATCH), str(step)]
    return [sys.executable, "-m", "tests.backups.killed", *here]


async def die(house: House, job_id: Any, step: int) -> None:
    worker = await asyncio.create_subprocess_exec(*killed_at(house, step))
    assert await worker.wait() == -9
    assert (await house.jobs.row(job_id)).status == "running"


async def finish(house: House, job_id: Any) -> Any:
    async with house.jobs.on_shift() as rescuer, asyncio.timeout(30):
        while (row := await house.jobs.row(job_id)).status in ("running", "queued"):
            await run_all(rescuer)
            await asyncio.sleep(0.05)
    return row


@pytest.mark.parametrize(  # at messages; at their search index; at a later domain
    "step",
    [pytest.param(6, marks=pytest.mark.long), 11, pytest.param(17, marks=pytest.mark.long)],
)
async def test_the_tables_are_those_of_an_undisturbed_run(
    house: House, truth: dict[str, int], step: int
) -> None:
    undisturbed = await house.register(house.put("ada/one"))
    await house.index(undisturbed)
    backup_id = await house.register(house.put("ada/two"))
    job_id = await house.jobs.ask(IndexBackup(backup_id=backup_id))

    await die(house, job_id, step)
    row = await finish(house, job_id)

    assert (row.status, row.error_message) == ("completed", None)
    assert "recovered" in await house.jobs.events(job_id)
    assert row.processed_items == row.total_items == items_of(truth)
    assert await house.seen(backup_id) == counts_of(truth)
    assert await house.content(backup_id) == await house.content(undisturbed)


@on_postgresql_and_when_there_is_time_on_sqlite
async def test_old_rows_stay_while_a_killed_run_waits(house: House, truth: dict[str, int]) -> None:
    folder = house.put()
    backup_id = await house.register(folder)
    await house.index(backup_id)
    add_message(folder)
    job_id = await house.jobs.ask(IndexBackup(backup_id=backup_id))

    await die(house, job_id, 8)

    assert await house.seen(backup_id) == counts_of(truth)
    assert (await finish(house, job_id)).status == "completed"
    assert (await house.seen(backup_id))["messages"] == truth["messages"] + 1


@on_sqlite_and_when_there_is_time_on_postgresql
async def test_what_was_decrypted_is_gone_at_the_next_start(house: House) -> None:
    locked_copy(house.sample, house.root / "ada/phone", "secret")
    backup_id = await house.register(house.root / "ada/phone")
    async with house.resources.db.transaction() as session:
        args = IndexBackup(backup_id=backup_id, with_password=True)
        stored = await house.jobs.queue.enqueue(session, args)
        key = house.resources.settings.secret()
        await house.jobs.queue.keep_secret(session, stored, key, "secret")
    scratch = house.resources.settings.data_dir / "scratch"

    await die(house, stored.id, 6)
    left = [path for path in scratch.iterdir() if path.is_dir()]
    assert len(left) == 1
    await start_and_stop(house)

    assert not left[0].exists()
    assert (await finish(house, stored.id)).status == "completed"
    assert list(scratch.iterdir()) == []


async def start_and_stop(house: House) -> None:
    """Another process starts, and does nothing else."""
    code = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from app.resources import open_resources\nfrom app.settings import Settings\n"
        "async def main():\n"
        "    s = Settings(_env_file=None, data_dir=Path(sys.argv[1]), database_url=sys.argv[2])\n"
        "    async with open_resources(s):\n        pass\n"
        "asyncio.run(main())\n"
    )
    resources = house.resources
    url = resources.db.url.render_as_string(hide_password=False)
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(resources.settings.data_dir), url
    )
    assert await started.wait() == 0
