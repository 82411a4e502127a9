"""Work on bytes from outside, in child processes that may die instead of this one.

A `ChildPool` keeps warm children for one function (`app.core.child` is what runs in them). Nothing
that a request does to its child reaches this process: an error, a crash, a bomb, an endless loop
or garbage on the pipe each end as one exception here, and the event loop is never blocked.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Self

from app.core import child as inside
from app.core.parent import Cause, Child, ChildDied, Limits, Refused, Reply

__all__ = ["Cause", "ChildDied", "ChildPool", "Limits", "Refused"]

SPENT_SHARE = 4  # a child that keeps a quarter of its memory between requests is replaced


class ChildPool:
    """Warm children for one target, started when they are first needed.

    Must be used on one event loop, and closed only after its streams have ended.
    """

    def __init__(
        self, target: str, limits: Limits, *, size: int = 1, recycle_after: int = 100
    ) -> None:
        """Describe the pool; nothing is started.

        Args:
            target: `module:function`; the function takes a map and yields what MessagePack knows.
            limits: for each request.
            size: requests at work at once; further ones wait their turn.
            recycle_after: requests that a child serves before a fresh one takes its place.
        """
        self._target, self._limits, self._recycle_after = target, limits, recycle_after
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Child] = []
        self._children: set[Child] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def pids(self) -> set[int]:
        """Process ids of the children alive now, busy or idle."""
        return {child.pid for child in self._children}

    async def stream(self, request: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """Yield what the target yields for `request`, as the child produces it.

        Leaving early kills the child: at once inside `contextlib.aclosing`, otherwise as soon as
        the loop has collected the generator.

        Raises:
            Refused: the target raised; the child lives on.
            ChildDied: a crash, a limit or a broken protocol; the child is gone.
            RuntimeError: the pool is closed, or was while the request was at work.
        """
        async with self._slots:
            child = await self._take()
            reply: Reply | None = None  # the last one; a child is fit for more only at its end
            seconds_left = self._limits.seconds_in_all
            try:
                child.ask(request)
                while reply is None or reply.kind == inside.ITEM:
                    reply = await child.reply(min(self._limits.seconds_per_frame, seconds_left))
                    seconds_left -= reply.seconds
                    if reply.kind == inside.ITEM:
                        yield reply.payload
            except ChildDied as error:
                if self._closed:  # then it was ended from here, and the input is not to blame
                    raise RuntimeError("the pool was closed at work") from error
                raise
            finally:
                await self._give_back(child, reply)
            if reply.kind == inside.REFUSED:
                raise child.refusal(reply)

    async def aclose(self) -> None:
        """End all children and wait until the system has forgotten them."""
        self._closed = True
        self._idle.clear()
        await asyncio.gather(*(child.end() for child in self._children))
        self._children.clear()

    async def _take(self) -> Child:
        if self._closed:
            raise RuntimeError("the pool is closed")
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            await self._end(child)
        child = await Child.start(self._target, self._limits)
        self._children.add(child)
        return child

    async def _give_back(self, child: Child, last: Reply | None) -> None:
        fit = (
            last is not None
            and last.kind in (inside.END, inside.REFUSED)
            and child.served < self._recycle_after
            and child.resident_bytes <= self._limits.memory_bytes // SPENT_SHARE
            and not self._closed
        )
        if fit:
            self._idle.append(child)
        else:
            await self._end(child)

    async def _end(self, child: Child) -> None:
        await child.end()
        self._children.discard(child)
