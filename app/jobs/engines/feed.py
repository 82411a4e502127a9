"""From Redis to a worker: rings are taken off the queue, rows are claimed from the table."""

import asyncio
import logging
import re
import time
from typing import Any
from uuid import UUID

from app.jobs.engines.arq import REDIS_GONE, HeadwayRedis, queue_key
from app.jobs.worker import Worker

log = logging.getLogger("worker")

_PATIENCE = 1.0  # seconds for which a poll waits for Redis; after that its answer may come later
_IDLE_SECONDS = 0.5  # the longest wait in one poll: arq's cron looks one second ahead
_OURS = re.compile(rb"^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):\d+$")

# Takes due rings off the set together with their payloads. Entries of others stay where they are.
# Due by the server's clock: a worker whose own is ahead would take rings too early, ring again,
# and take them again, without a pause.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
local foreign = {}
local ours = {}
for _, id in ipairs(due) do
  if string.match(id, '^%x+%-%x+%-%x+%-%x+%-%x+:%d+$') then
    redis.call('ZREM', KEYS[1], id)
    redis.call('DEL', 'arq:job:' .. id)
    ours[#ours + 1] = id
  else
    foreign[#foreign + 1] = id
  end
end
return {ours, foreign}
"""


class Feed:
    """Gives a worker the work of one queue: rings first, then straight from the table.

    The table is asked when Redis is away or its set has nothing due: after a FLUSHALL the rate
    is the table's, not the sweep's.
    """

    def __init__(self, redis: HeadwayRedis, queue: str, worker: Worker, *, poll: float) -> None:
        """Feed `worker` with `queue`; look at the table every `poll` seconds when idle."""
        self._redis = redis
        self._key = queue_key(queue)
        self._worker = worker
        self._poll = poll
        self._table_seen = 0.0
        self._more = False  # the table has more than could start
        self._away = False
        self._asked: asyncio.Task[Any] | None = None  # one question at a time

    async def close(self) -> None:
        """Ask Redis no more."""
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.gather(self._asked, return_exceptions=True)

    async def turn(self) -> list[bytes]:
        """One poll: start what may start, else wait for news. Gives back entries of others.

        The work is shielded: a stop in the middle must not lose claims that are committed.
        """
        return await asyncio.shield(asyncio.ensure_future(self._turn()))

    async def _turn(self) -> list[bytes]:
        started, foreign = await self._serve()
        if foreign or ((started or self._more) and self._worker.free):
            return foreign
        if await self._worker.wait_for_news(min(_IDLE_SECONDS, self._poll)):
            _started, foreign = await self._serve()
        return foreign

    async def _serve(self) -> tuple[bool, list[bytes]]:
        """Start what may start; whether rings were answered, and the entries of others."""
        worker = self._worker
        if not worker.free:
            return False, []
        ours, foreign = await self._take(worker.free)
        try:
            if ours:
                self._more = await worker.answer(ours)
            elif self._more or self._time_to_look():
                self._more = await worker.claim()
        except Exception as error:  # noqa: BLE001 -- a database that is away comes back
            log.warning("claim failed", extra={"error": repr(error)[:300]})
            self._more = False
        return bool(ours), foreign

    def _time_to_look(self) -> bool:
        moment = time.monotonic()
        if moment - self._table_seen < self._poll:
            return False
        self._table_seen = moment
        return True

    async def _take(self, limit: int) -> tuple[list[UUID], list[bytes]]:
        """Due rings, ours and others'; none while Redis is away, and without waiting for it.

        A question that a hung Redis has not answered stays open: nobody's time is spent on it,
        and no ring is lost with it when the answer comes after all.
        """
        if self._asked is None:
            self._asked = asyncio.create_task(self._ask(limit))
        await asyncio.wait({self._asked}, timeout=0 if self._away else _PATIENCE)
        try:
            if not self._asked.done():
                raise TimeoutError("no answer")
            asked, self._asked = self._asked, None
            found = asked.result()
        except REDIS_GONE as error:
            if not self._away:
                log.warning("redis is away; working from the table", extra={"error": repr(error)})
            self._away = True
            return [], []
        if self._away:
            log.info("redis is back")
            self._away = False
        ours = [match[1].decode() for entry in found[0] if (match := _OURS.match(entry))]
        return [UUID(job_id) for job_id in ours], list(found[1])

    async def _ask(self, limit: int) -> Any:
        asked: Any = self._redis.eval(_TAKE, 1, self._key, str(limit))
        return await asked
