"""A worker to be killed: `python -m tests.documents.killed DATABASE_URL DATA_DIR BATCH [LOG]`.

BATCH is pages per step while reading and chunks per step while embedding. With LOG the embedder is
slow, and writes each text that it is given into that file.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from app.documents import indexing, reading
from app.embedding.vectors import Vectors
from app.jobs.engines.inline import run_all
from app.resources import open_resources
from app.settings import Settings
from tests.documents.papers import Letters, harness


class Slow(Letters):
    """Takes its time, and leaves a trace of every text before it answers."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    async def embed(self, texts: Sequence[str]) -> Vectors:
        with self._log.open("a") as log:
            log.writelines(f"{text!r}\n" for text in texts)
        await asyncio.sleep(0.002 * len(texts))
        return await super().embed(texts)


async def main(url: str, folder: str, batch: int, log: str = "") -> None:
    reading.BATCH_PAGES = indexing.BATCH_CHUNKS = batch
    embedder = Slow(Path(log)) if log else None
    settings = Settings(_env_file=None, data_dir=Path(folder), database_url=url, log_level="error")
    async with (
        open_resources(settings) as resources,
        harness(resources, embedder).on_shift() as worker,
    ):
        await run_all(worker)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
