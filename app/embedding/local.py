"""The packaged MiniLM in a few threads of this process: no network, and the loop never waits."""

import asyncio
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.core.errors import AppError
from app.core.processes import ChildPool, Limits
from app.embedding import packaged
from app.embedding.port import EmbeddingRefused, Identity, Language, all_or_none
from app.embedding.vectors import Vectors

if TYPE_CHECKING:
    from app.embedding.minilm import MiniLm

log = logging.getLogger(__name__)

THREADS = min(4, os.cpu_count() or 1)
_IDENTITY = Identity(
    packaged.NAME,
    f"{packaged.MODEL_SHA256[:32]}-{packaged.TOKENIZER_SHA256[:32]}",
    packaged.DIMENSION,
)
_REBUILT = f"{packaged.NAME}-{packaged.MODEL_SHA256[:12]}-1"  # the number of the recipe
_REBUILD_LIMITS = Limits(
    memory_bytes=2 * 1024**3,  # address space; 200 MB are used
    cpu_seconds=60,
    seconds_per_frame=60,
    seconds_in_all=60,
)


class LocalEmbedder:
    """MiniLM, English, 384 dimensions.

    Loaded at the first text. The first on a machine also rebuilds the graph, in a child process
    (a second, once; see docs/decisions/0031); where that cannot be done, the packaged graph is
    used, at a third of the speed.
    """

    language: Language = "en"

    def __init__(self, folder: Path, *, threads: int = THREADS) -> None:
        """`folder`: where the rebuilt model is kept. `threads`: texts at work at once."""
        self._folder = folder
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="embedding")
        self._loading: asyncio.Task[MiniLm] | None = None  # done once it is there

    async def identity(self) -> Identity:
        """Known without loading anything.

        Both graphs have it: they hold the same weights, and their vectors of a text differ by a
        cosine of 0.004, which moves no result (docs/decisions/0031).
        """
        return _IDENTITY

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`. At most `threads` texts of one call are under way at a time."""
        if not texts:
            return np.empty((0, packaged.DIMENSION), dtype=np.float32)
        model = await self._loaded()
        rows = np.empty((len(texts), packaged.DIMENSION), dtype=np.float32)
        waiting = iter(enumerate(texts))
        loop = asyncio.get_running_loop()

        async def work() -> None:
            for place, text in waiting:
                rows[place] = (await loop.run_in_executor(self._pool, model.vector, text))[0]

        await all_or_none(work() for _ in range(min(self._threads, len(texts))))
        return rows

    async def aclose(self) -> None:
        """Let the threads end; what waits is dropped."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _loaded(self) -> "MiniLm":
        """The model, loaded once; whoever stops waiting for it does not stop that."""
        failed = (
            self._loading is not None
            and self._loading.done()
            and (self._loading.cancelled() or self._loading.exception() is not None)
        )
        if self._loading is None or failed:
            self._loading = asyncio.create_task(self._load())
        return await asyncio.shield(self._loading)

    async def _load(self) -> "MiniLm":
        loop = asyncio.get_running_loop()
        try:
            tokenizer = await loop.run_in_executor(self._pool, packaged.tokenizer_file)
            weights = await loop.run_in_executor(self._pool, packaged.model_file)
        except packaged.ModelMissing as error:
            raise EmbeddingRefused(f"The local model cannot be used: {error}.") from error
        rebuilt = await self._rebuilt(weights)
        if rebuilt is not None:
            model = await loop.run_in_executor(self._pool, _if_itself, rebuilt, tokenizer)
            if model is not None:
                return model
            log.warning("rebuilt model is not itself here", extra={"path": str(rebuilt)})
        log.warning("the packaged graph is used: slower, and 200 MB")
        return await loop.run_in_executor(self._pool, _packaged, weights, tokenizer)

    async def _rebuilt(self, weights: Path) -> Path | None:
        """The rebuilt model's file; made in a child process when there is none that is whole."""
        loop = asyncio.get_running_loop()
        kept = await loop.run_in_executor(self._pool, self._kept)
        if kept is not None:
            return kept
        request = {"model": str(weights), "folder": str(self._folder), "name": _REBUILT}
        try:
            async with ChildPool("app.embedding.rebuild:rebuild", _REBUILD_LIMITS) as children:
                async for _path in children.stream(request):
                    pass
        except AppError as error:
            log.warning("model not rebuilt", extra={"error": str(error)})
            return None
        return await loop.run_in_executor(self._pool, self._kept)

    def _kept(self) -> Path | None:
        """A rebuilt model whose content is what its name says; others are removed."""
        for path in sorted(self._folder.glob(f"{_REBUILT}-*.onnx")):
            if path.stem.rpartition("-")[2] == packaged.sha256_of(path):
                return path
            path.unlink(missing_ok=True)
        return None


def _opened(path: Path, tokenizer: Path, *, rebuilt: bool) -> "MiniLm":
    from app.embedding.minilm import MiniLm  # noqa: PLC0415 -- most processes never embed

    return MiniLm(path, tokenizer, rebuilt=rebuilt)


def _if_itself(path: Path, tokenizer: Path) -> "MiniLm | None":
    try:
        model = _opened(path, tokenizer, rebuilt=True)
    except Exception as error:  # noqa: BLE001 -- onnxruntime's own errors have no common name
        log.warning("rebuilt model not loaded", extra={"error": str(error)[:300]})
        return None
    return model if model.is_itself() else None


def _packaged(path: Path, tokenizer: Path) -> "MiniLm":
    return _opened(path, tokenizer, rebuilt=False)
