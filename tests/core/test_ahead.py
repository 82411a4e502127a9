import asyncio
from collections.abc import AsyncGenerator

import pytest

from app.core.ahead import Ahead


class Source:
    """Counts to three, and knows how far it was asked and whether it was closed."""

    def __init__(self, *, fails_at: int = 0) -> None:
        self.given = 0
        self.closed = False
        self._fails_at = fails_at

    async def items(self) -> AsyncGenerator[int, None]:
        try:
            for number in (1, 2, 3):
                await asyncio.sleep(0)
                if number == self._fails_at:
                    raise ValueError(number)
                self.given = number
                yield number
        finally:
            self.closed = True


async def test_the_next_item_comes_when_it_is_begun_and_not_before() -> None:
    source = Source()
    async with Ahead(source.items()) as ahead:
        assert await ahead.next() == 1
        await asyncio.sleep(0.01)
        assert source.given == 1

        ahead.begin()
        ahead.begin()
        await asyncio.sleep(0.01)
        assert source.given == 2

        assert [await ahead.next() for _ in range(4)] == [2, 3, None, None]


async def test_an_error_is_for_who_asks_for_the_item() -> None:
    source = Source(fails_at=2)
    async with Ahead(source.items()) as ahead:
        assert await ahead.next() == 1
        ahead.begin()
        await asyncio.sleep(0.01)

        with pytest.raises(ValueError, match="2"):
            await ahead.next()
    assert source.closed


@pytest.mark.parametrize("begun", [False, True])
async def test_leaving_between_two_items_closes_the_stream(begun: bool) -> None:
    source = Source()

    with pytest.raises(KeyError):
        async with Ahead(source.items()) as ahead:
            assert await ahead.next() == 1
            if begun:
                ahead.begin()
                await asyncio.sleep(0.01)  # the second item waits to be taken
            raise KeyError

    assert source.closed


async def test_a_second_stop_closes_the_stream_all_the_same() -> None:
    source = Source()

    async def use() -> None:
        async with Ahead(source.items()) as ahead:
            await ahead.next()
            ahead.begin()
            await asyncio.Event().wait()

    using = asyncio.create_task(use())
    await asyncio.sleep(0.01)
    using.cancel()
    await asyncio.sleep(0)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using

    assert source.closed


async def test_leaving_early_stops_what_is_on_its_way_and_closes_the_stream() -> None:
    source = Source()

    async def endless() -> AsyncGenerator[int, None]:
        async for number in source.items():
            yield number
            await asyncio.Event().wait()

    with pytest.raises(KeyError):
        async with Ahead(endless()) as ahead:
            assert await ahead.next() == 1
            ahead.begin()
            await asyncio.sleep(0)
            raise KeyError

    assert len(asyncio.all_tasks()) == 1


async def test_a_stop_while_waiting_stops_the_stream_too() -> None:
    source = Source()

    async def use() -> None:
        async def slow() -> AsyncGenerator[int, None]:
            try:
                await asyncio.Event().wait()
                yield 1
            finally:
                source.closed = True

        async with Ahead(slow()) as ahead:
            await ahead.next()

    using = asyncio.create_task(use())
    await asyncio.sleep(0.01)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using

    assert source.closed
