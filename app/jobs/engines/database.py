"""The database engine: the table is the queue, and the database itself wakes its workers.

On PostgreSQL a ring is a NOTIFY. SQLite has none, so a ring is a datagram to the workers of the
same file, which all live on this host. The poll stays as the safety net.
"""

import asyncio
import hashlib
import logging
import os
import socket
import tempfile
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


class NotifyBell:
    """Rings by PostgreSQL's NOTIFY, in a transaction of its own: no commit waits for it."""

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
    """Rings the workers of one SQLite file by a datagram each."""

    def __init__(self, db: Database) -> None:
        self._folder = wake_folder(db)

    async def ring(self, rings: Sequence[Ring]) -> None:
        """Wake every worker of the file; a socket that nobody reads any more is removed."""
        if not hasattr(socket, "AF_UNIX") or not self._folder.is_dir():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            for path in self._folder.iterdir():
                try:
                    sender.sendto(b"!", str(path))
                except BlockingIOError:
                    continue  # it has rings enough to read
                except OSError:
                    with suppress(OSError):
                        path.unlink()


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
    await asyncio.to_thread(folder.mkdir, 0o700, exist_ok=True)
    path = folder / f"{os.getpid()}-{id(heard):x}"
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.setblocking(False)
        ear.bind(str(path))

        def ring() -> None:
            with suppress(BlockingIOError):
                while ear.recv(64):
                    pass
            heard()

        loop.add_reader(ear, ring)
        try:
            heard()  # what was rung while nobody listened
            await asyncio.Event().wait()
        finally:
            loop.remove_reader(ear)
            with suppress(OSError):
                path.unlink()


async def serve(worker: Worker, stop: asyncio.Event, *, poll: float, burst: bool = False) -> None:
    """Claim and run until `stop` is set; in a burst, until there is nothing left to do.

    A batch of claims waits until half of the slots are free, so that a busy worker claims many
    rows with one statement; an idle one claims at once.
    """
    half = max(1, worker.share.max_jobs // 2)
    while not stop.is_set():
        again = False
        if worker.free >= half or not worker.runner.busy:
            try:
                again = await worker.claim()
            except Exception as error:  # noqa: BLE001 -- a database that is away comes back
                log.warning("claim failed", extra={"error": repr(error)[:300]})
                await asyncio.sleep(min(1.0, 2 * poll))
        if burst and not again and not worker.runner.attempts:
            return
        if not (again and worker.free >= half):
            await worker.wait_for_news(poll)
