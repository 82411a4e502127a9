"""Blobs: bytes under the name of their sha256, in a folder or in an S3 bucket.

A port with two honest implementations, both by obstore. A blob is written whole or not at all.
"""

import asyncio
import errno
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from app.core.errors import OutOfSpace, TooLarge, Unavailable

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored blob: its sha256 in hex, its size, and its first bytes."""

    sha256: str
    size_bytes: int
    head: bytes


class Blobs:
    """Content-addressed storage below one address."""

    def __init__(self, store: ObjectStore, folder: Path | None) -> None:
        """Use `open_blobs`; `folder` is set when the store is a local folder."""
        self._store = store
        self._folder = folder

    async def put(self, chunks: AsyncIterator[bytes], *, limit_bytes: int) -> Blob:
        """Store a stream under its sha256; the same bytes are stored once.

        Raises:
            TooLarge: more than `limit_bytes`; nothing is kept.
            OutOfSpace: no room; nothing is kept.
            Unavailable: the store did not answer.
        """
        with TemporaryDirectory(prefix="headway-upload-", dir=self._spool()) as spool:
            path = Path(spool) / "blob"
            try:
                blob = await _receive(chunks, path, limit_bytes)
                await self._keep(blob.sha256, path)
            except OSError as error:
                raise _typed(error) from error
            except BaseError as error:
                raise Unavailable("the blob store did not answer") from error
            return blob

    @asynccontextmanager
    async def path(self, sha256: str) -> AsyncGenerator[Path]:
        """A local file with the blob's bytes, to be read only, while the block lasts.

        Raises:
            FileNotFoundError: there is no such blob.
        """
        if self._folder is not None:
            path = self._folder / _name(sha256)
            if not path.is_file():
                raise FileNotFoundError(sha256)
            yield path
            return
        with TemporaryDirectory(prefix="headway-blob-") as folder:
            path = Path(folder) / sha256
            found = await obstore.get_async(self._store, _name(sha256))
            with path.open("wb") as file:
                async for part in found.stream(min_chunk_size=_CHUNK):
                    file.write(part)
            yield path

    async def delete(self, sha256: str) -> None:
        """Remove a blob; one that is not there is no error."""
        try:
            await obstore.delete_async(self._store, _name(sha256))
        except FileNotFoundError:
            return

    async def check(self) -> None:
        """Write and remove a probe. Raises what the store raises."""
        await obstore.put_async(self._store, "probe", b"headway")
        await obstore.delete_async(self._store, "probe")

    async def _keep(self, sha256: str, path: Path) -> None:
        if self._folder is not None:  # a rename within one file system: whole or not at all
            await asyncio.to_thread(_move, path, self._folder / _name(sha256))
        else:
            await obstore.put_async(self._store, _name(sha256), path)

    def _spool(self) -> Path | None:
        if self._folder is None:
            return None
        spool = self._folder / "incoming"
        spool.mkdir(parents=True, exist_ok=True)
        return spool


def open_blobs(url: str) -> Blobs:
    """Open the store at `file:///dir` or `s3://bucket/prefix`; a folder is made if missing."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        folder.mkdir(parents=True, exist_ok=True)
        return Blobs(LocalStore(str(folder)), folder)
    return Blobs(from_url(url), None)


async def _receive(chunks: AsyncIterator[bytes], path: Path, limit_bytes: int) -> Blob:
    digest, size, head = hashlib.sha256(), 0, b""
    with path.open("wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > limit_bytes:
                raise TooLarge(f"the file is larger than {limit_bytes} bytes")
            if len(head) < 1024:
                head += chunk[: 1024 - len(head)]
            digest.update(chunk)
            file.write(chunk)
    return Blob(digest.hexdigest(), size, head)


def _move(path: Path, final: Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    path.replace(final)


def _typed(error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutOfSpace("there is no room left to store the file")
    return error


def _name(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"
