"""The faults, each a function that does it, undoes it and says how long recovery took.

They are rows 1 to 9 of the fault matrix. Recovery from the loss of a worker is when the last job
that it held has been started by somebody else, or has ended. Recovery from the loss of a server
is when a job that was asked for after its return has completed.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from app.chaos import proc
from app.chaos.asking import People, Wish
from app.chaos.house import LEASE_SECONDS, Held, House
from app.chaos.kinds import Brief
from app.chaos.workers import Worker
from app.jobs.engines.arq import open_redis

PATIENCE = 60.0  # seconds for a recovery, on a noisy machine and with another fault meanwhile


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault happens: the house, somebody to ask, dice, and the worker it is about."""

    house: House
    people: People
    dice: Random
    worker: Worker


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a fault: how long it lasted, what recovered and after how many seconds."""

    lasted: float
    what: str
    recovery: float | None  # None: not within the patience, or there was nothing to recover
    recovered: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault; two with the same target never overlap (`worker`: one of them)."""

    name: str
    target: str
    strike: Callable[[Scene], Awaitable[Told]]


# --------------------------------------------------------------------------------- workers


async def kill_worker(scene: Scene) -> Told:
    """Kill -9; after a while another one starts."""
    began = time.monotonic()
    scene.worker.kill()
    held = await scene.house.held_by(scene.worker.pid)
    return await _replaced(scene, held, began)


async def stop_worker(scene: Scene) -> Told:
    """SIGTERM: it hands its work back and ends; after a while another one starts."""
    held = await scene.house.held_by(scene.worker.pid)
    began = time.monotonic()
    await scene.worker.stop()
    return await _replaced(scene, held, began)


async def freeze_worker(scene: Scene) -> Told:
    """SIGSTOP for longer than the lease: its jobs go on elsewhere, and it changes nothing after."""
    worker, seconds = scene.worker, LEASE_SECONDS + scene.dice.uniform(1, 5)
    began = time.monotonic()
    worker.life.frozen = True
    with proc.frozen(worker.pid):
        held = await scene.house.held_by(worker.pid)
        going_on = asyncio.create_task(_went_on(scene, held, began))
        await asyncio.sleep(began + seconds - time.monotonic())
    lasted = time.monotonic() - began
    return _told_of_jobs(held, await going_on, lasted)


async def _replaced(scene: Scene, held: Held, began: float) -> Told:
    """Start another worker after a while; whichever worker is first takes the jobs over."""
    going_on = asyncio.create_task(_went_on(scene, held, began))
    await asyncio.sleep(scene.dice.uniform(0, 4))
    scene.worker.ended()
    scene.worker.start()
    lasted = time.monotonic() - began
    after = await going_on
    if not await scene.house.signed_in(scene.worker.pid, PATIENCE):
        return Told(lasted, "the next one did not come to work", None, recovered=False)
    return _told_of_jobs(held, after, lasted)


async def _went_on(scene: Scene, held: Held, began: float) -> float | None:
    """Seconds since `began` until the last of these jobs went on."""
    if await scene.house.went_on(held, PATIENCE):
        return time.monotonic() - began
    return None


def _told_of_jobs(held: Held, after: float | None, lasted: float) -> Told:
    count = len(held.ids)
    jobs = "its job" if count == 1 else f"its {count} jobs"
    if not count:
        return Told(lasted, "it held no job", None)
    if after is None:
        return Told(lasted, f"{jobs} did not go on within {PATIENCE:g} s", None, recovered=False)
    return Told(lasted, f"{jobs} went on after {after:.1f} s", after)


# ----------------------------------------------------------------------------------- Redis


async def flush_redis(scene: Scene) -> Told:
    """FLUSHALL: every ring is lost."""
    redis = open_redis(scene.house.valkey.url, max_connections=1)
    began = time.monotonic()
    await redis.flushall()
    lasted = time.monotonic() - began
    await redis.aclose(True)
    return await _told_of_asking(scene, lasted)


async def stop_redis(scene: Scene) -> Told:
    """Gone for up to 20 s, and empty when it is back."""
    valkey = scene.house.valkey
    how = scene.dice.choice([signal.SIGTERM, signal.SIGKILL])
    began = time.monotonic()
    await asyncio.to_thread(valkey.stop, how)
    await asyncio.sleep(scene.dice.uniform(1, 20))
    await asyncio.to_thread(valkey.start)
    return await _told_of_asking(scene, time.monotonic() - began)


async def hang_redis(scene: Scene) -> Told:
    """Connected and silent, for up to 15 s."""
    process = scene.house.valkey.process
    assert process is not None
    return await _hang(scene, scene.dice.uniform(2, 15), process.pid)


# ------------------------------------------------------------------------------ PostgreSQL


async def restart_postgres(scene: Scene) -> Told:
    """Fast: every connection is ended, every transaction rolled back."""
    return await _restart(scene, signal.SIGINT)


async def crash_postgres(scene: Scene) -> Told:
    """Immediate, as a crash: what no commit waited for may be lost."""
    return await _restart(scene, signal.SIGQUIT)


async def hang_postgres(scene: Scene) -> Told:
    """The server and all its processes are silent for up to 10 s; no connection is lost."""
    process = scene.house.postgres.process
    assert process is not None
    with proc.frozen(process.pid):  # first, so that it has no further children
        children = proc.children_of(process.pid)
        return await _hang(scene, scene.dice.uniform(1, 10), process.pid, *children)


async def _restart(scene: Scene, how: signal.Signals) -> Told:
    postgres = scene.house.postgres
    began = time.monotonic()
    await asyncio.to_thread(postgres.stop, how)
    await asyncio.to_thread(postgres.start)
    return await _told_of_asking(scene, time.monotonic() - began)


async def _hang(scene: Scene, seconds: float, *pids: int) -> Told:
    began = time.monotonic()
    with proc.frozen(*pids):
        await asyncio.sleep(seconds)
    return await _told_of_asking(scene, time.monotonic() - began)


async def _told_of_asking(scene: Scene, lasted: float) -> Told:
    """Ask for a job now that all is well again; when it has completed, so has the recovery."""
    back = time.monotonic()
    while time.monotonic() - back < PATIENCE:
        job_id = await scene.people.ask(Wish(Brief()))
        if job_id is None:
            await asyncio.sleep(0.05)
        elif await scene.house.ended(job_id, PATIENCE):
            after = time.monotonic() - back
            return Told(lasted, f"a fresh job was done after {after:.1f} s", after)
    return Told(lasted, f"no fresh job was done within {PATIENCE:g} s", None, recovered=False)


FAULTS = (
    Fault("worker killed", "worker", kill_worker),
    Fault("worker stopped", "worker", stop_worker),
    Fault("worker frozen", "worker", freeze_worker),
    Fault("Redis flushed", "redis", flush_redis),
    Fault("Redis stopped", "redis", stop_redis),
    Fault("Redis hung", "redis", hang_redis),
    Fault("PostgreSQL restarted", "postgres", restart_postgres),
    Fault("PostgreSQL crashed", "postgres", crash_postgres),
    Fault("PostgreSQL hung", "postgres", hang_postgres),
)
