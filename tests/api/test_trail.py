"""The place in the audit trails that a process's streams are fed from."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from app.api import trail
from app.api.feed import Feed
from app.api.trail import Trail


class Lines:
    """A reader of a table of lines, without a database; `fail` makes its next question end so."""

    is_sqlite = True

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked = 0
        self.fail: type[Exception] | None = None

    async def rows(self, sql: str, *values: Any) -> Sequence[Any]:
        await asyncio.sleep(0)
        if "DESC" in sql:
            if self.fail is not None:
                failure, self.fail = self.fail, None
                raise failure
            self.asked += 1
            return [(seq,) for seq in range(self.count, max(0, self.count - values[0]), -1)]
        after, most, _also = values
        return [(seq, f"job-{seq}") for seq in range(after + 1, min(self.count, after + most) + 1)]


async def test_what_was_read_is_told_although_the_next_question_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trail, "_LINES", 5)
    reader = Lines(3)
    followed = Trail(reader)
    await followed.begin()
    reader.count, reader.fail = 8, ConnectionError

    with pytest.raises(ConnectionError):
        await followed.news()

    assert await followed.news() == ({f"job-{seq}" for seq in range(4, 9)}, True)


async def test_two_who_come_at_once_begin_once() -> None:
    """The second beginning would skip what was written between the two."""

    class Listener:
        job_id = owner = None

    reader = Lines(3)
    feed = Feed(reader)
    feed._start = lambda: None  # type: ignore[method-assign]

    await asyncio.gather(*(feed.join(Listener()) for _ in range(2)))  # type: ignore[arg-type]

    assert reader.asked == 1
