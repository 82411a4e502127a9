"""What changed since somebody looked: the questions of the live feed, one statement each.

Every change of a row raises its `version`, so versions tell what changed of jobs that are known.
Of all jobs, a change is either a line in the audit trail or a step of a running job.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from app.jobs.store.read import COLUMNS, JobView, Reader, view_of

_RECENT = 200  # lines of the trail among which a missing number may be one under way
_LATELY_SECONDS = 60


@dataclass(frozen=True)
class State:
    """A job as it stood when it was read; `owner` is its user's id, None for nobody's."""

    job_id: str
    owner: str | None
    version: int
    view: JobView

    @cached_property
    def json(self) -> bytes:
        """The view as it goes over the wire; made once, however many watch."""
        return msgspec.json.encode(self.view)


async def versions(
    reader: Reader, ids: Collection[str], *, running: bool = False
) -> dict[str, int]:
    """The version of each of these jobs that is there; with `running`, of all running ones too."""
    among, value = _among(reader, ids)
    sql = f"SELECT CAST(id AS text), version FROM background_jobs WHERE {among}"  # noqa: S608
    if running:
        sql += (
            " UNION ALL SELECT CAST(id AS text), version FROM background_jobs "
            "WHERE status = 'running'"
        )
    return {row[0]: row[1] for row in await reader.rows(sql, value)}


async def states(reader: Reader, ids: Collection[str]) -> list[State]:
    """How each of these jobs stands that is there, in order of arrival."""
    among, value = _among(reader, ids)
    sql = (
        f"SELECT {COLUMNS}, CAST(owner_id AS text) FROM background_jobs "  # noqa: S608
        f"WHERE {among} ORDER BY seq"
    )
    return [State(row[1], row[27], row[0], view_of(row)) for row in await reader.rows(sql, value)]


async def lately(reader: Reader, owner: str | None, most: int) -> list[str]:
    """Ids of the jobs of `owner` (None: of all) that are active or ended within a minute.

    At most `most` of the queued, of the running and of the ended ones: the newest.
    """
    ago = (
        f"strftime('%Y-%m-%dT%H:%M:%fZ', {{now}}, '-{_LATELY_SECONDS} seconds')"
        if reader.is_sqlite
        else f"{{now}} - interval '{_LATELY_SECONDS} seconds'"
    )
    mine = "" if owner is None else " AND owner_id = ?2"
    parts = [
        f"SELECT * FROM (SELECT CAST(id AS text) FROM background_jobs WHERE {condition}{mine} "  # noqa: S608
        f"ORDER BY {order} DESC LIMIT ?1) AS {name}"
        for name, condition, order in (
            ("waiting", "status = 'queued'", "created_at"),
            ("going", "status = 'running'", "lease_expires_at"),
            (
                "over",
                f"status IN ('completed', 'failed', 'cancelled') AND completed_at >= {ago}",
                "completed_at",
            ),
        )
    ]
    values: list[Any] = [most] if owner is None else [most, owner]
    return [row[0] for row in await reader.rows(" UNION ALL ".join(parts), *values)]


async def newest_lines(reader: Reader) -> list[int]:
    """The numbers of the newest lines of all audit trails, newest first."""
    sql = "SELECT seq FROM job_events ORDER BY seq DESC LIMIT ?1"
    return [row[0] for row in await reader.rows(sql, _RECENT)]


async def lines_after(
    reader: Reader, seq: int, also: Iterable[int], most: int
) -> Sequence[tuple[int, str]]:
    """Number and job of up to `most` lines after `seq`, and of those numbers `also` asked for.

    A number is given out before its transaction commits, so lines may appear below ones that
    were seen: those numbers are what `also` is for.
    """
    numbers = sorted(also)
    if reader.is_sqlite:
        among, value = "IN (SELECT value FROM json_each(?3))", msgspec.json.encode(numbers).decode()
    else:
        among, value = "= ANY(CAST(?3 AS bigint[]))", numbers  # type: ignore[assignment]
    sql = (
        "SELECT * FROM (SELECT seq, CAST(job_id AS text) FROM job_events "  # noqa: S608
        "WHERE seq > ?1 ORDER BY seq LIMIT ?2) AS newer "
        f"UNION ALL SELECT seq, CAST(job_id AS text) FROM job_events WHERE seq {among}"
    )
    return [(row[0], row[1]) for row in await reader.rows(sql, seq, most, value)]


def _among(reader: Reader, ids: Collection[str]) -> tuple[str, Any]:
    if reader.is_sqlite:
        return "id IN (SELECT value FROM json_each(?1))", msgspec.json.encode(list(ids)).decode()
    return "id = ANY(CAST(?1 AS uuid[]))", list(ids)
