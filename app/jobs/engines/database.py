"""The database engine: the table is the queue, and the database itself wakes its workers.

On PostgreSQL a ring is a NOTIFY, for a new row that of its own commit. SQLite has none, so a
ring is a datagram to the workers of the same file, which all live on this host. The poll stays
as the safety net.
"""

import asyncio
import hashlib
import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import asyncpg

from app.core.db import Database, asyncpg_dsn
from app.core.hot import PostgresTrips
from app.jobs.queue import Ring
from app.jobs.store.insert import CHANNEL
from app.jobs.worker import Worker

log = logging.getLogger("worker")

_RECONNECT_SECONDS = 1.0
_GATHER_SECONDS = 0.02  # after a claim, for which a busy worker waits for more free slots


class NotifyBell:
    """Rings by a NOTIFY of its own, for rows that wait again."""

    def __init__(self, hot: PostgresTrips) -> None:
        self._hot = hot

    async def ring(self, rings: Sequence[Ring]) -> None:
        """Wake the workers that listen to the rings' queues."""
        queues = sorted({ring.queue for ring in rings})
        await self._hot.fetch(
            "SELECT pg_notify(:channel, queue) FROM unnest(CAST(:queues AS text[])) AS queue",
            {"channel": CHANNEL, "queues": queues},
            durable=False,
        )


class DatagramBell:
    """Rings the workers of one SQLite file, by a datagram each."""

    def __init__(self, db: Database) -> None:
        self._folder = wake_folder(db)

    def ring(self) -> None:
        """Wake them all, at once; a socket that nobody reads any more is removed."""
        if not hasattr(socket, "AF_UNIX"):
            return
        # No folder: nobody listens.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
            sender.setblocking(False)
            for path in self._folder.iterdir():
                try:
                    sender.sendto(b"!", str(path))
                except BlockingIOError:
                    continue  # it has rings enough to read
                except OSError:
                    path.unlink(missing_ok=True)


def wake_folder(db: Database) -> Path:
    """Where the workers of an SQLite file have their sockets: a short path, of this user only."""
    name = hashlib.sha256(str(Path(db.url.database or "").absolute()).encode()).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"headway-{user}-{name}"


async def listen(db: Database, heard: Callable[[], None]) -> None:
    """Call `heard` for every ring of the database's own bell, until cancelled."""
    if db.is_sqlite:
        await _listen_to_datagrams(wake_folder(db), heard)
    else:
        await _listen_to_notifications(db, heard)


async def _listen_to_notifications(db: Database, heard: Callable[[], None]) -> None:
    while True:
        try:
            connection = await asyncpg.connect(asyncpg_dsn(db.url), timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            await asyncio.sleep(_RECONNECT_SECONDS)
            continue
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
            await connection.add_listener(CHANNEL, lambda *_args: heard())
            heard()  # what was rung while nobody listened
            await lost.wait()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            log.warning("listening connection lost")
        finally:
            connection.terminate()
        await asyncio.sleep(_RECONNECT_SECONDS)


async def _listen_to_datagrams(folder: Path, heard: Callable[[], None]) -> None:
    if not hasattr(socket, "AF_UNIX"):
        await asyncio.Event().wait()
    path = folder / f"{os.getpid()}-{id(heard):x}"
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.setblocking(False)
        _bind(ear, path)

        def ring() -> None:
            ear.recv(64)
            heard()

        loop.add_reader(ear, ring)
        try:
            heard()  # what was rung while nobody listened
            await asyncio.Event().wait()
        finally:
            loop.remove_reader(ear)
            _leave(path)


def _bind(ear: socket.socket, path: Path) -> None:
    while True:
        path.parent.mkdir(0o700, exist_ok=True)
        try:
            return ear.bind(str(path))
        except FileNotFoundError:
            continue  # the last one who listened there has just removed the folder


def _leave(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
        path.parent.rmdir()  # unless others listen there


async def serve(worker: Worker, stop: asyncio.Event, *, poll: float, burst: bool = False) -> None:
    """Claim and run until `stop` is set; in a burst, until there is nothing left to do.

    A batch of claims waits until half of the slots are free, but not for long, so that a busy
    worker claims many rows with one statement; an idle one claims at once.
    """
    waking = asyncio.create_task(_wake_at(stop, worker.news))
    try:
        await _serve(worker, stop, poll, burst)
    finally:
        waking.cancel()


async def _wake_at(stop: asyncio.Event, news: asyncio.Event) -> None:
    await stop.wait()
    news.set()  # else a long poll would keep a worker from stopping


async def _serve(worker: Worker, stop: asyncio.Event, poll: float, burst: bool) -> None:
    half = max(1, worker.share.max_jobs // 2)
    claimed = 0.0
    while not stop.is_set():
        again = False
        gathering = claimed + _GATHER_SECONDS - time.monotonic()
        if worker.free >= half or not worker.runner.busy or gathering <= 0:
            claimed, gathering = time.monotonic(), 0.0
            try:
                again = await worker.claim()
            except Exception as error:  # noqa: BLE001 -- a database that is away comes back
                log.warning("claim failed", extra={"error": repr(error)[:300]})
                await asyncio.sleep(min(1.0, 2 * poll))
        # News: what ended during the claim may have freed a lane.
        if burst and not (again or worker.news.is_set() or worker.runner.attempts):
            return
        if not (again and worker.free >= half):
            await worker.wait_for_news(gathering or poll)
