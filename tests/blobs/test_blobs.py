"""Blobs: whole or not at all, in a folder and in a bucket."""

import asyncio
import hashlib
import os
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from app.blobs import Blobs, open_blobs
from app.core.errors import OutOfSpace, TooLarge

CONTENT = [b"%PDF-1.7 ", b"x" * 5_000, b"end"]
SHA256 = hashlib.sha256(b"".join(CONTENT)).hexdigest()


@pytest.fixture(params=["folder", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "folder":
        return open_blobs((tmp_path / "blobs").as_uri())
    return Blobs(MemoryStore(), None)


async def test_bytes_come_back_as_they_were_stored(blobs: Blobs) -> None:
    blob = await blobs.put(of(*CONTENT), limit_bytes=10_000)

    assert (blob.sha256, blob.size_bytes) == (SHA256, 5_012)
    assert blob.head == b"".join(CONTENT)[:1024]
    async with blobs.path(SHA256) as path:
        assert path.read_bytes() == b"".join(CONTENT)


async def test_storing_and_removing_twice_is_once(blobs: Blobs) -> None:
    both = (blobs.put(of(*CONTENT), limit_bytes=10_000) for _ in range(2))
    first, second = await asyncio.gather(*both)
    assert first == second
    assert await blobs.has(SHA256)

    for _ in range(2):
        await blobs.delete(SHA256)

    assert not await blobs.has(SHA256)
    with pytest.raises(FileNotFoundError):
        async with blobs.path(SHA256):
            pass


async def test_what_is_too_large_or_breaks_off_is_not_kept(tmp_path: Path) -> None:
    blobs = open_blobs(tmp_path.as_uri())

    with pytest.raises(TooLarge):
        await blobs.put(of(*CONTENT), limit_bytes=5_011)
    with pytest.raises(RuntimeError, match="gone"):
        await blobs.put(breaking_off(), limit_bytes=10_000)

    assert files_in(tmp_path) == []


async def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    blobs = open_blobs(tmp_path.as_uri())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutOfSpace):
            await blobs.put(of(b"x" * 200_000), limit_bytes=10**6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert files_in(tmp_path) == []


async def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path: Path) -> None:
    blobs = open_blobs(tmp_path.as_uri())
    for name, age in (("old", 100_000), ("new", 0)):
        left = tmp_path / "incoming" / name
        left.mkdir(parents=True)
        (left / "blob").write_bytes(b"half")
        os.utime(left, (left.stat().st_mtime - age,) * 2)

    await blobs.put(of(*CONTENT), limit_bytes=10_000)

    assert [path.name for path in (tmp_path / "incoming").iterdir()] == ["new"]


async def of(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def breaking_off() -> AsyncIterator[bytes]:
    yield b"half"
    raise RuntimeError("gone")


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
