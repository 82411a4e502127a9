"""A worker with the application's own model, until nothing waits: `... DATABASE_URL DATA_DIR`."""

import asyncio
import sys
from pathlib import Path

from app.jobs.engines.inline import run_all
from app.resources import open_resources
from app.settings import Settings
from tests.documents.papers import harness


async def main(url: str, folder: str) -> None:
    settings = Settings(_env_file=None, data_dir=Path(folder), database_url=url, log_level="error")
    async with (
        open_resources(settings) as resources,
        harness(resources, resources.embedder).on_shift() as worker,
    ):
        await run_all(worker)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
