"""What the doctor asks of Redis and of the table of jobs."""

from app.api.raw import open_reader
from app.cli.checks import BAD, FINE, WARNING, Finding, with_skew, within_time
from app.core.clock import utcnow
from app.core.db import Database
from app.core.logging import without_secrets
from app.jobs.engines import redis_of
from app.jobs.store import read, sweep, workers
from app.settings import Settings

_ALIVE_SECONDS = 15.0  # since a worker was last seen
_START = "start Redis, or correct REDIS_URL"


async def redis(settings: Settings) -> Finding:
    """Whether Redis answers, keeps what it is given, and has the same time."""
    if settings.redis_url is None:
        return Finding("Redis", FINE, "not used; the database alone delivers jobs")
    address = without_secrets(settings.redis_url.get_secret_value())

    async def look() -> Finding:
        pool = redis_of(settings)
        assert pool is not None
        try:
            began = utcnow()
            seconds, micros = await pool.time()
            took = (utcnow() - began).total_seconds()
            facts = await pool.info("everything")
        finally:
            await pool.aclose(close_connection_pool=True)
        detail = f"{facts.get('redis_version', 'unknown version')} at {address}"
        found = Finding("Redis", FINE, f"{detail}, {1000 * took:.0f} ms")
        policy = facts.get("maxmemory_policy", "noeviction")
        if policy != "noeviction" and facts.get("maxmemory"):
            mend = "set maxmemory-policy noeviction: what waits there must not be dropped"
            found = Finding("Redis", WARNING, f"{found.detail}; evicts by {policy}", mend)
        return with_skew(found, seconds + micros / 1e6 - began.timestamp() - took / 2)

    found = await within_time("Redis", _START, look)
    if found.state == BAD and address not in found.detail:
        return Finding("Redis", BAD, f"{address}: {found.detail}", _mend(found))
    return found


def _mend(found: Finding) -> str:
    said = found.detail.lower()
    if "auth" in said or "password" in said or "wrongpass" in said:
        return "write REDIS_URL as redis://:PASSWORD@host:port"
    return found.mend or _START


async def queues(db: Database) -> Finding:
    """Whether somebody takes what is due. Only a warning: starting a worker is the mend."""

    async def look() -> Finding:
        reader = open_reader(db)
        try:
            crowds = await read.crowds(reader)
        finally:
            await reader.close()
        async with db.reading() as session:
            alive = await workers.alive(session, _ALIVE_SECONDS)
        due = {(c.queue, c.kind): c.due for c in crowds if c.status == "queued" and c.due}
        left = {
            (queue, kind): count
            for (queue, kind), count in due.items()
            if not any(queue in worker.queues and kind in worker.kinds for worker in alive)
        }
        standing = f"{len(alive)} alive, {sum(due.values())} jobs due"
        if not left:
            return Finding("workers", FINE, standing)
        named = ", ".join(f"{n} {kind} in {queue}" for (queue, kind), n in sorted(left.items()))
        mend = "start `headway worker` (or arq with QUEUE_NAME) for these queues"
        return Finding("workers", WARNING, f"{standing}; nobody takes {named}", mend)

    return await within_time("workers", "mend the database first", look)


async def leases(db: Database) -> Finding:
    """Whether running jobs have lost their worker. Only a warning: any worker takes them over."""

    async def look() -> Finding:
        async with db.reading() as session:
            lost = await sweep.lapsed_jobs(session)
        if not lost:
            return Finding("leases", FINE, "no running job has lost its worker")
        mend = "any worker takes them over; without one, `headway maintenance rescue`"
        return Finding("leases", WARNING, f"{len(lost)} running jobs lost their worker", mend)

    return await within_time("leases", "mend the database first", look)
