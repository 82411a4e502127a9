"""The private folder of one run: DATA_DIR/builds/<job>-<random>/, with `home` and a guard's lock.

It is removed when the run ends. What a killed worker leaves is removed by the next run, once the
job is no longer under way and no guard holds the lock.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from app.releases.running import at_work, to_the_end

_FOLDER = "builds"
_ID_CHARACTERS = 36


@asynccontextmanager
async def workspace(
    data_dir: Path, job_id: UUID, ongoing: Collection[UUID]
) -> AsyncGenerator[Path]:
    """An empty folder, of this user only, while the block lasts.

    Args:
        data_dir: where it is made.
        job_id: whose it is.
        ongoing: the jobs that are under way, whose folders stay.
    """
    home = await asyncio.to_thread(_make, data_dir / _FOLDER, job_id)
    await asyncio.to_thread(_tidy, data_dir / _FOLDER, {*ongoing, job_id})
    try:
        yield home
    finally:
        await to_the_end(asyncio.to_thread(shutil.rmtree, home.parent, True))


def still_at_work(data_dir: Path, job_id: UUID) -> bool:
    """Whether a guard of the job lives on this host."""
    return any(map(at_work, (data_dir / _FOLDER).glob(f"{job_id}-*")))


def _make(folder: Path, job_id: UUID) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=f"{job_id}-", dir=folder)) / "home"
    home.mkdir()
    return home


def _tidy(folder: Path, keep: Collection[UUID]) -> None:
    kept = set(map(str, keep))
    for each in folder.iterdir():
        if each.name[:_ID_CHARACTERS] not in kept and not at_work(each):
            shutil.rmtree(each, ignore_errors=True)
