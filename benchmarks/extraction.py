"""PDF text extraction through the isolated child, and from end to end.

    python -m benchmarks.extraction FILE.pdf ...

Child: pages per second with the start of a child included (cold), and by one that has read the
file before (warm). Job: a whole `ingest_extract`, blob, rows and progress included, on SQLite,
again for a document that was extracted before. The best of three, because machines are shared.
"""

import argparse
import asyncio
import time
from pathlib import Path

import app.catalogue  # noqa: F401 -- every model is in the metadata
from app.chaos.servers import scratch
from app.core.db import Base
from app.documents.extraction import pdf_children
from app.resources import open_resources
from app.settings import Settings
from tests.documents.papers import ask_again, document_of, harness, keep

ROUNDS = 3


async def child_rates(path: Path) -> tuple[float, float]:
    cold, warm = 0.0, 0.0
    for _ in range(ROUNDS):
        async with pdf_children(1) as children:
            for again in (False, True):
                pages, began = 0, time.monotonic()
                async for kind, payload in children.stream({"path": str(path)}):
                    pages += len(payload) if kind == "pages" else 0
                rate = pages / (time.monotonic() - began)
                cold, warm = (cold, max(warm, rate)) if again else (max(cold, rate), warm)
    return cold, warm


async def job_rate(path: Path) -> float:
    with scratch("extraction") as folder:
        settings = Settings(
            _env_file=None, data_dir=folder, database_url=f"sqlite:///{folder}/headway.db"
        )
        async with open_resources(settings) as resources:
            async with resources.db.engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            jobs = harness(resources)
            document_id = await keep(jobs, path)
            await jobs.run_all()
            best = 0.0
            for _ in range(ROUNDS):
                await ask_again(jobs, document_id)
                began = time.monotonic()
                await jobs.run_all()
                pages = (await document_of(resources, document_id)).page_count or 0
                best = max(best, pages / (time.monotonic() - began))
            return best


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("files", nargs="+", type=Path)
    for path in parser.parse_args().files:
        cold, warm = await child_rates(path)
        job = await job_rate(path)
        print(f"{path.name}: pages/s, child cold {cold:,.0f}, warm {warm:,.0f}; job {job:,.0f}")


if __name__ == "__main__":
    asyncio.run(main())
