"""A question embedded once, while its words are looked up."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from app.core.errors import Unavailable
from app.embedding.port import Embedder, Identity
from app.embedding.vectors import Vectors

# PostgreSQL ends a transaction that stands idle for ten seconds, and people have gone before.
_PATIENCE_SECONDS = 5.0


@asynccontextmanager
async def embedded_once(embedder: Embedder, text: str) -> AsyncGenerator[Embedder]:
    """Lend an embedder that begins with `text` at once, and gives everybody the same vector of it.

    Whoever asks for it waits for what is left, or gets its error: `Unavailable` too where it takes
    longer than somebody who searches will wait. If nobody has asked by the end of the block, it
    is dropped.
    """
    made = asyncio.create_task(_soon(embedder, text))
    try:
        yield _Once(embedder, text, made)
    finally:
        made.cancel()
        await asyncio.gather(made, return_exceptions=True)  # an error is for those who ask


async def _soon(embedder: Embedder, text: str) -> Vectors:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await embedder.embed([text])
    except TimeoutError as error:
        raise Unavailable("The model takes too long for a search.") from error


class _Once:
    def __init__(self, embedder: Embedder, text: str, made: "asyncio.Task[Vectors]") -> None:
        self.language = embedder.language
        self._embedder, self._text, self._made = embedder, text, made

    async def identity(self) -> Identity:
        """See `Embedder.identity`. Raises what the question has met: nobody asks twice in vain."""
        await asyncio.shield(self._made)
        return await self._embedder.identity()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        if list(texts) == [self._text]:
            return await asyncio.shield(self._made)
        return await self._embedder.embed(texts)

    async def aclose(self) -> None:
        """Nothing here is its own."""
