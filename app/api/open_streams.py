"""The streams that are open in a process: how many each user has, and whether they still may."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from app.api.stream import Stream
from app.api.tokens import TokenCache
from app.core.errors import TooMany, Unauthorized

log = logging.getLogger(__name__)

_MIND_SECONDS = 0.5  # between two looks at tokens and quiet lines
_FULL_RETRY = 5.0  # seconds


class OpenStreams:
    """Counts them, speaks on quiet lines, and ends those whose token or session is dead."""

    def __init__(self, tokens: TokenCache, most_per_user: int) -> None:
        self._tokens = tokens
        self._most = most_per_user
        self._seats: Counter[UUID] = Counter()
        self._open: set[Stream] = set()

    @contextmanager
    def seat(self, user_id: UUID) -> Iterator[None]:
        """Room for one more stream of the user. Raises `TooMany`."""
        if self._seats[user_id] >= self._most:
            raise TooMany(
                f"{self._most} of your streams are open; that is the limit",
                code="too_many_streams",
                retry_after=_FULL_RETRY,
            )
        self._seats[user_id] += 1
        try:
            yield
        finally:
            self._seats[user_id] -= 1
            if not self._seats[user_id]:
                del self._seats[user_id]

    @contextmanager
    def minded(self, stream: Stream) -> Iterator[None]:
        """Keep the stream alive while its token is."""
        self._open.add(stream)
        try:
            yield
        finally:
            self._open.discard(stream)

    @asynccontextmanager
    async def minding(self) -> AsyncGenerator[None]:
        """While this lasts, quiet lines are spoken on and dead tokens end their streams."""
        task = asyncio.create_task(self._mind())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _mind(self) -> None:
        while True:
            await asyncio.sleep(_MIND_SECONDS)
            dead = {
                each for each in {s.credential for s in self._open} if await self._is_dead(each)
            }
            for stream in list(self._open):
                if stream.credential in dead:
                    stream.revoke()
                else:
                    stream.beat()

    async def _is_dead(self, credential: str) -> bool:
        try:
            await self._tokens.user_of(credential)
        except Unauthorized:
            return True
        except Exception as error:  # noqa: BLE001 -- a database that is away revokes nothing
            log.warning("token not looked up", extra={"error": repr(error)[:300]})
        return False
