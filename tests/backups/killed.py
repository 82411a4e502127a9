"""A worker that kills itself: `python -m tests.backups.killed DATABASE_URL DATA_DIR ROOT BATCH STEP`.

It ends by SIGKILL at the STEPth step of the job that it runs.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from app.backups import domain_run
from app.backups.jobs import index_backup
from app.jobs.context import JobContext
from app.jobs.engines.inline import run_all
from app.resources import open_resources
from app.settings import Settings
from tests.harness import JobHarness


async def main(url: str, data: str, root: str, batch: int, fatal: int) -> None:
    domain_run.BATCH = batch
    taken = 0
    real = JobContext.step

    def step(ctx: JobContext, **how: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(ctx, **how)

    JobContext.step = step  # type: ignore[method-assign, assignment]
    settings = Settings(
        _env_file=None,
        data_dir=Path(data),
        database_url=url,
        backup_roots=(Path(root),),
        log_level="error",
    )
    async with (
        open_resources(settings) as resources,
        JobHarness(resources, [index_backup]).on_shift() as worker,
    ):
        await run_all(worker)


if __name__ == "__main__":
    url, data, root, batch, step = sys.argv[1:]
    asyncio.run(main(url, data, root, int(batch), int(step)))
