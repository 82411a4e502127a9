"""The text of the claim, put together once per number of queues and per dialect.

Every piece that goes into it stands on this page; values are always bound.
"""

from dataclasses import dataclass
from functools import lru_cache

LANES = 256  # lanes of one queue per call: 10 ms with 10,000 lanes queued, 170 ms without a limit

COLUMNS = [
    "id",
    "kind",
    "queue",
    "lane",
    "args",
    "cursor",
    "attempt",
    "max_attempts",
    "lapses",
    "priority",
    "owner_id",
    "parent_id",
    "stage",
    "total_items",
    "processed_items",
    "failed_items",
    "progress_percent",
    "lease_token",
    "started_at",
    "run_after",
    "seq",
]


def _lanes(n: int, urgent: bool) -> str:
    """Hop from lane to lane of one queue; the cursor and the limit hold for ordinary lanes."""
    name, extra = (f"urgent_{n}", " AND priority > 0") if urgent else (f"lanes_{n}", "")
    start, bound = ("''", "") if urgent else (f":after_{n}", f" AND hop < {LANES}")
    base = (
        f"SELECT lane FROM background_jobs WHERE queue = :queue_{n} AND status = 'queued' "
        f"AND lane IS NOT NULL{extra} AND lane > "
    )
    return f"""{name}(lane, hop) AS (
      SELECT ({base}{start} ORDER BY lane LIMIT 1), 1
      UNION ALL
      SELECT ({base}{name}.lane ORDER BY lane LIMIT 1), hop + 1
      FROM {name} WHERE {name}.lane IS NOT NULL{bound})"""


def _place(n: int) -> str:
    return (
        f"(SELECT CASE WHEN count(lane) < {LANES} THEN '' ELSE max(lane) END FROM lanes_{n}) "
        f"AS place_{n}"
    )


@dataclass(frozen=True, slots=True)
class _Dialect:
    due: str
    kinds: str
    lock: str
    ids: str
    among: str  # how a materialised list of keys is fed back in without a join
    recheck: str


_POSTGRESQL = _Dialect(
    due="statement_timestamp()",
    kinds="kind = ANY(CAST(:kinds AS text[]))",
    lock="FOR UPDATE SKIP LOCKED",
    ids="id = ANY(CAST(:ids AS uuid[]))",
    among="= ANY(ARRAY(SELECT {0}))",
    recheck="status || '' = 'queued'",  # must not invite the planner to a partial index
)
_SQLITE = _Dialect(
    due="headway_now()",
    kinds="kind IN (SELECT value FROM json_each(:kinds))",
    lock="",
    ids="id IN (SELECT value FROM json_each(:ids))",
    among="IN (SELECT {0})",
    recheck="status = 'queued'",
)
_ORDER = "ORDER BY priority DESC, run_after, seq"


def _free(d: _Dialect, condition: str) -> str:
    return (
        f"SELECT * FROM (SELECT seq, priority, run_after, kind FROM background_jobs WHERE {condition} "
        f"AND status = 'queued' AND lane IS NULL AND run_after <= {d.due} AND {d.kinds} "
        f"AND lapses = 0 {_ORDER} LIMIT :limit {d.lock}) AS ready"
    )


@lru_cache(maxsize=32)
def claim_sql(queues: int, rung: bool, sqlite: bool) -> str:
    """The claim over `queues` queues (:queue_0 …), or of the rows that were rung for (:ids).

    On PostgreSQL it claims and answers with the columns; on SQLite it only picks the rows.
    """
    d = _SQLITE if sqlite else _POSTGRESQL
    if rung:
        parts = [f"asked AS (SELECT DISTINCT lane FROM background_jobs WHERE {d.ids})"]
        lanes, free, places = "SELECT lane FROM asked", _free(d, d.ids), []
        among_queues = "1 = 1"
    else:
        parts = [_lanes(n, urgent) for n in range(queues) for urgent in (False, True)]
        lanes = " UNION ".join(
            f"SELECT lane FROM {name}_{n}" for n in range(queues) for name in ("lanes", "urgent")
        )
        free = " UNION ALL ".join(_free(d, f"queue = :queue_{n}") for n in range(queues))
        places = [_place(n) for n in range(queues)]
        among_queues = f"queue IN ({', '.join(f':queue_{n}' for n in range(queues))})"
    parts += [
        f"""heads AS MATERIALIZED (
      SELECT (SELECT j.seq FROM background_jobs j WHERE j.lane = l.lane AND j.status = 'queued'
              AND j.run_after <= {d.due} ORDER BY j.priority DESC, j.seq LIMIT 1) AS seq
      FROM ({lanes}) l WHERE l.lane IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM background_jobs r WHERE r.status = 'running' AND r.lane = l.lane))""",
        f"free AS MATERIALIZED ({free})",
        f"""taken AS MATERIALIZED (
      SELECT seq, priority, run_after, kind FROM background_jobs
      WHERE seq {d.among.format("seq FROM heads WHERE seq IS NOT NULL")} AND {d.recheck}
      AND {among_queues} AND {d.kinds} AND lapses = 0 {_ORDER} LIMIT :limit {d.lock})""",
        f"""pick AS MATERIALIZED (
      SELECT seq, kind FROM (SELECT * FROM free UNION ALL SELECT * FROM taken) AS both_paths
      {_ORDER} LIMIT :limit)""",
    ]
    return _finish_sql(parts, places, sqlite)


@lru_cache(maxsize=32)
def suspect_sql(queues: int, sqlite: bool) -> str:
    """The claim of one job that lost its last worker; like `claim_sql` otherwise."""
    d = _SQLITE if sqlite else _POSTGRESQL
    named = ", ".join(f":queue_{n}" for n in range(queues))
    pick = f"""pick AS MATERIALIZED (
      SELECT seq, kind FROM background_jobs s WHERE status = 'queued' AND lapses > 0
      AND queue IN ({named}) AND run_after <= {d.due} AND {d.kinds}
      AND (lane IS NULL OR NOT EXISTS (
        SELECT 1 FROM background_jobs o WHERE o.lane = s.lane AND (o.status = 'running'
        OR (o.status = 'queued' AND o.run_after <= {d.due}
            AND (o.priority > s.priority OR (o.priority = s.priority AND o.seq < s.seq))))))
      {_ORDER} LIMIT 1 {d.lock})"""
    return _finish_sql([pick], [], sqlite)


def _finish_sql(parts: list[str], places: list[str], sqlite: bool) -> str:
    """What follows the pick. Where the hop stopped is told also when nothing was picked."""
    also = "".join(f", {place}" for place in places)
    if sqlite:
        return (
            f"WITH RECURSIVE {', '.join(parts)} SELECT pick.seq, pick.kind{also} "
            "FROM (SELECT 1) LEFT JOIN pick ON 1 = 1"
        )
    columns = ", ".join(f"j.{name}" for name in COLUMNS)
    parts = [
        *parts,
        # Without a session at hand nothing with a hook may be claimed: then nothing is.
        "hooked AS (SELECT coalesce(bool_or(kind = ANY(CAST(:hooked AS text[]))), false) AS held"
        " FROM pick)",
        f"""claimed AS (
      UPDATE background_jobs j SET status = 'running', attempt = attempt + 1, version = version + 1,
        worker_id = :worker, lease_token = gen_random_uuid(),
        lease_expires_at = clock_timestamp() + make_interval(secs => :lease),
        started_at = clock_timestamp(), heartbeat_at = clock_timestamp()
      WHERE j.seq = ANY(ARRAY(SELECT seq FROM pick)) AND NOT (SELECT held FROM hooked)
      RETURNING {columns})""",
        """told AS (
      INSERT INTO job_events (job_id, at, kind, attempt, worker)
      SELECT id, clock_timestamp(), 'started', attempt, :worker FROM claimed)""",
    ]
    listed = ", ".join(f"c.{name}" for name in COLUMNS)
    return (
        f"WITH RECURSIVE {', '.join(parts)} SELECT {listed}, hooked.held{also} "
        "FROM hooked LEFT JOIN claimed c ON true"
    )


UPDATE_SQLITE = f"""
UPDATE background_jobs SET status = 'running', attempt = attempt + 1, version = version + 1,
  worker_id = :worker, lease_token = json_extract(:tokens, '$."' || seq || '"'),
  lease_boot = :boot,
  lease_expires_at = headway_boot_seconds() + :lease,
  started_at = max(headway_now(), coalesce((SELECT max(p.completed_at) FROM background_jobs p
    WHERE p.lane = background_jobs.lane AND p.lane IS NOT NULL), '')),
  heartbeat_at = headway_now()
WHERE seq IN (SELECT value FROM json_each(:seqs))
RETURNING {", ".join(COLUMNS)}"""
TELL_SQLITE = """
INSERT INTO job_events (job_id, at, kind, attempt, worker)
SELECT id, started_at, 'started', attempt, worker_id FROM background_jobs
WHERE seq IN (SELECT value FROM json_each(:seqs))"""
