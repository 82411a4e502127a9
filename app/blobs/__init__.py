"""Blobs: bytes under the name of their sha256, in a folder or in an S3 bucket.

A port with two honest implementations, both by obstore. A blob is written whole or not at all,
and one that was stored in a folder survives a loss of power.
"""

import asyncio
import errno
import hashlib
import os
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from app.core.errors import OutOfSpace, TooLarge, Unavailable

HEAD_BYTES = 1024
_CHUNK = 1 << 20
_ABANDONED_SECONDS = 24 * 3600.0  # a spool this old belongs to a process that was killed
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored blob: its sha256 in hex, its size, and its first `HEAD_BYTES` bytes."""

    sha256: str
    size_bytes: int
    head: bytes


class Blobs:
    """Content-addressed storage below one address."""

    def __init__(self, store: ObjectStore, folder: Path | None, prefix: str = "") -> None:
        """Use `open_blobs`; `folder` is set when the store is a local folder."""
        self._store = store
        self._folder = folder
        self._prefix = prefix

    def under(self, name: str) -> "Blobs":
        """The same store for one domain's blobs alone: the others' removals leave them alone."""
        return Blobs(self._store, self._folder, f"{name}/")

    async def put(self, chunks: AsyncIterator[bytes], *, limit_bytes: int) -> Blob:
        """Store a stream under its sha256; the same bytes are stored once.

        Whatever `chunks` raises comes out of here, and then nothing is kept either.

        Raises:
            TooLarge: more than `limit_bytes`; nothing is kept.
            OutOfSpace: no room; nothing is kept.
            Unavailable: the store did not answer.
        """
        with (
            _told_apart(),
            TemporaryDirectory(
                prefix="headway-upload-", dir=self._spool(), ignore_cleanup_errors=True
            ) as spool,
        ):
            path = Path(spool) / "blob"
            blob = await _receive(chunks, path, limit_bytes)
            await self._keep(blob, path)
            return blob

    async def has(self, sha256: str) -> bool:
        """Whether there is such a blob now."""
        try:
            with _told_apart():
                await obstore.head_async(self._store, self._name(sha256))
        except FileNotFoundError:
            return False
        return True

    @asynccontextmanager
    async def path(self, sha256: str) -> AsyncGenerator[Path]:
        """A local file with the blob's bytes, to be read only, while the block lasts.

        Raises:
            FileNotFoundError: there is no such blob.
            OutOfSpace: no room for a local copy.
            Unavailable: the store did not answer.
        """
        if self._folder is not None:
            path = self._folder / self._name(sha256)
            if not path.is_file():
                raise FileNotFoundError(sha256)
            yield path
            return
        with TemporaryDirectory(prefix="headway-blob-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / sha256
            with _told_apart():
                await self._fetch(sha256, path)
            yield path

    async def delete(self, sha256: str) -> None:
        """Remove a blob; one that is not there is no error."""
        with suppress(FileNotFoundError), _told_apart():
            await obstore.delete_async(self._store, self._name(sha256))

    async def check(self) -> None:
        """Write and remove a probe. Raises what the store raises."""
        await obstore.put_async(self._store, "probe", b"headway")
        await obstore.delete_async(self._store, "probe")

    async def _keep(self, blob: Blob, path: Path) -> None:
        if self._folder is not None:  # a rename within one file system: whole or not at all
            await asyncio.to_thread(
                _move, path, self._folder / self._name(blob.sha256), blob.size_bytes
            )
        else:
            await obstore.put_async(self._store, self._name(blob.sha256), path)

    async def _fetch(self, sha256: str, path: Path) -> None:
        found = await obstore.get_async(self._store, self._name(sha256))
        with path.open("wb") as file:
            async for part in found.stream(min_chunk_size=_CHUNK):
                file.write(part)

    def _name(self, sha256: str) -> str:
        return f"{self._prefix}{sha256[:2]}/{sha256}"

    def _spool(self) -> Path | None:
        if self._folder is None:
            return None
        spool = self._folder / "incoming"
        spool.mkdir(parents=True, exist_ok=True)
        _forget_abandoned(spool)
        return spool


def open_blobs(url: str) -> Blobs:
    """Open the store at `file:///dir` or `s3://bucket/prefix`; a folder is made if missing."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        folder.mkdir(parents=True, exist_ok=True)
        return Blobs(LocalStore(str(folder)), folder)
    try:
        return Blobs(from_url(url), None)
    except Exception:  # noqa: BLE001 -- what it says may hold the credentials of the address
        raise Unavailable("BLOB_URL names no store that can be opened") from None


async def _receive(chunks: AsyncIterator[bytes], path: Path, limit_bytes: int) -> Blob:
    digest, size, head = hashlib.sha256(), 0, b""
    with path.open("wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > limit_bytes:
                raise TooLarge(f"the file is larger than {limit_bytes} bytes")
            if len(head) < HEAD_BYTES:
                head += chunk[: HEAD_BYTES - len(head)]
            digest.update(chunk)
            file.write(chunk)
    return Blob(digest.hexdigest(), size, head)


def _move(path: Path, final: Path, size_bytes: int) -> None:
    """Put the file in its place, durably: a row that names it may be committed right after."""
    with suppress(FileNotFoundError):
        if final.stat().st_size == size_bytes:
            return
    final.parent.mkdir(parents=True, exist_ok=True)
    _sync(path, os.O_RDWR)
    path.replace(final)
    with suppress(OSError):  # not every system lets a folder be opened
        _sync(final.parent, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _forget_abandoned(spool: Path) -> None:
    oldest = time.time() - _ABANDONED_SECONDS
    with suppress(OSError):  # somebody else may be at it
        for left in spool.iterdir():
            if left.stat().st_mtime < oldest:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _told_apart() -> Iterator[None]:
    """Make a full disk and a store that does not answer errors of ours; the rest stays."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OutOfSpace("there is no room left to store the file") from error
        raise
    except BaseError as error:
        raise Unavailable("the blob store did not answer") from error


def _name(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"
