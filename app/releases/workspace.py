"""The private folder of one run: DATA_DIR/builds/<job>-<random>/, with `home` and a guard's lock.

It is removed when the run ends. What a killed worker leaves is removed by the next run, once the
job is no longer under way and no guard holds the lock.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

from app.releases import store
from app.releases.running import at_work, to_the_end
from app.resources import Resources

_FOLDER = "builds"
_ID_CHARACTERS = 36


@asynccontextmanager
async def workspace(resources: Resources, job_id: UUID) -> AsyncGenerator[Path]:
    """An empty folder for a job that is under way, of this user only, while the block lasts."""
    folder = resources.settings.data_dir / _FOLDER
    await _tidy(resources, folder)
    home = await asyncio.to_thread(_make, folder, job_id)
    try:
        yield home
    finally:
        await to_the_end(asyncio.to_thread(_remove_tree, home.parent))


def still_at_work(data_dir: Path, job_id: UUID) -> bool:
    """Whether a guard of the job lives on this host."""
    return any(map(at_work, (data_dir / _FOLDER).glob(f"{job_id}-*")))


async def _tidy(resources: Resources, folder: Path) -> None:
    """Remove what killed workers have left.

    A job is under way before its folder is made: so the folders are listed first, and whose
    job is not under way after that, nobody needs.
    """
    present = await asyncio.to_thread(_listed, folder)
    if not present:
        return
    async with resources.db.reading() as session:
        ongoing = set(map(str, await store.ongoing_jobs(session)))
    left = [each for each in present if each.name[:_ID_CHARACTERS] not in ongoing]
    await to_the_end(asyncio.to_thread(_remove, left))


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        if not at_work(folder):
            _remove_tree(folder)


def _remove_tree(folder: Path) -> None:
    """Remove it with all that is in it, also from folders that the recipe has closed."""

    def open_up(_act: object, path: str, _error: object) -> None:
        for each in (Path(path).parent, Path(path)):
            if each.is_dir() and not each.is_symlink():
                each.chmod(0o700)

    with suppress(OSError):
        shutil.rmtree(folder, onerror=open_up)
    shutil.rmtree(folder, ignore_errors=True)


def _make(folder: Path, job_id: UUID) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=f"{job_id}-", dir=folder)) / "home"
    home.mkdir()
    return home
