"""People who ask for work all the time, and some of them change their minds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.chaos.account import Account, Asked
from app.chaos.kinds import Brief, Doomed, Laned, Long, Single, Stumbling, Work
from app.core.clock import utcnow
from app.core.db import Database
from app.core.errors import Conflict, NotFound
from app.core.passing import is_passing
from app.jobs.ledger import Ledger
from app.jobs.queue import JobQueue

_ASKERS = 4
_PER_SECOND = 8.0  # by all of them
_TRACKS, _KEYS = 3, 12  # few, so that jobs of a track wait for one another
_PATIENCE = 60.0  # seconds for which a person insists


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, when it is due, and what is done about it later; seconds."""

    args: Work
    due_in: float = 0.0
    cancel_after: float | None = None
    retry_after: float | None = None  # after the cancel


def draw(dice: Random) -> Wish:
    """One wish of the mixture."""
    draws: dict[Callable[[], Wish], int] = {
        lambda: Wish(Brief()): 28,
        lambda: Wish(Laned(items=dice.randint(5, 30), track=dice.randrange(_TRACKS))): 16,
        lambda: Wish(Long(items=dice.randint(50, 300))): 18,
        lambda: Wish(_single(dice.randrange(_KEYS))): 10,
        lambda: Wish(Stumbling(items=dice.randint(4, 20), failures=dice.randint(1, 3))): 8,
        lambda: Wish(Brief(items=dice.randint(0, 5)), due_in=dice.uniform(0.5, 15)): 8,
        lambda: _changed_mind(dice): 8,
        lambda: Wish(Doomed(items=dice.randint(2, 20))): 4,
    }
    return dice.choices(list(draws), list(draws.values()))[0]()


def _single(key: int) -> Single:
    return Single(items=3 + 2 * key, key=key)  # equal jobs are equal in everything


def _changed_mind(dice: Random) -> Wish:
    retry = dice.uniform(0.5, 3) if dice.random() < 0.5 else None
    items = dice.randint(50, 300)
    return Wish(Long(items=items), cancel_after=dice.uniform(0.1, 4), retry_after=retry)


class People:
    """Ask through the real queue, in a session, and keep account of the answers."""

    def __init__(self, db: Database, queue: JobQueue, account: Account, dice: Random) -> None:
        self._db = db
        self._queue = queue
        self._ledger = Ledger(db, queue)
        self._account = account
        self._dice = dice
        self._later: set[asyncio.Task[None]] = set()
        self._going_home = asyncio.Event()

    async def run(self) -> None:
        """Ask until told to go home, and have done with everything then."""
        await asyncio.gather(*(self._keep_asking() for _ in range(_ASKERS)))
        while self._later:
            await asyncio.gather(*self._later)

    def go_home(self) -> None:
        """Ask for nothing more; `run` returns soon."""
        self._going_home.set()

    async def ask(self, wish: Wish) -> UUID | None:
        """Ask once; the job, or None when it was refused or the answer was lost."""
        asked_at, stored = time.monotonic(), None
        not_before = utcnow() + timedelta(seconds=wish.due_in) if wish.due_in else None
        error: Exception | None = None
        try:
            async with self._db.transaction() as session:
                stored = await self._queue.enqueue(session, wish.args, run_after=not_before)
        except Exception as raised:  # noqa: BLE001 -- told apart below
            error = raised
        if error is not None and not is_passing(error):
            self._account.surprises.append(f"asking for {wish.args!r} raised {error!r}")
        if stored is None:
            self._account.refused += 1
            return None
        times = (asked_at, time.monotonic(), not_before)
        self._account.note(Asked(stored.id, wish.args, error is None, *times))
        return stored.id if error is None else None

    async def _keep_asking(self) -> None:
        while not self._going_home.is_set():
            wish = draw(self._dice)
            pause = self._dice.expovariate(_PER_SECOND / _ASKERS)
            job_id = await self.ask(wish)
            if job_id is not None and wish.cancel_after is not None:
                self._do_later(self._change_mind(job_id, wish))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._going_home.wait(), pause)

    async def _change_mind(self, job_id: UUID, wish: Wish) -> None:
        await asyncio.sleep(wish.cancel_after or 0)
        self._account.may_be_cancelled(job_id)
        await self._insist(lambda session: self._ledger.cancel(session, job_id, None))
        if wish.retry_after is not None:
            await asyncio.sleep(wish.retry_after)
            await self._insist(lambda session: self._ledger.retry(session, job_id, None))

    async def _insist(self, wanted: Callable[[AsyncSession], Awaitable[None]]) -> None:
        """Do it, again while the database is away; a job that stands otherwise is left alone."""
        try:
            await self._db.run(wanted, patience=_PATIENCE)
        except (Conflict, NotFound):
            return
        except Exception as error:  # noqa: BLE001 -- told in the verdict
            self._account.surprises.append(f"changing one's mind raised {error!r}")

    def _do_later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)
