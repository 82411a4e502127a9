"""A stream whose next item is on its way while the present one is used."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """The items of a generator, one at most ahead. Closes it at the end of the block."""

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items
        self._coming: asyncio.Future[T | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._coming is not None:
                self._coming.cancel()
                await asyncio.gather(self._coming, return_exceptions=True)
        finally:
            await self._items.aclose()

    def begin(self) -> None:
        """Let the next item come, unless it is on its way already."""
        if self._coming is None:
            self._coming = asyncio.ensure_future(anext(self._items, None))

    async def next(self) -> T | None:
        """The next item, or None at the end. Raises what the generator raises."""
        self.begin()
        coming, self._coming = self._coming, None
        assert coming is not None
        return await coming
