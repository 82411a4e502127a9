"""What was promised, compared with what is there. Each check names the promise that was broken."""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, pairwise
from uuid import UUID

from app.chaos.evidence import ENDS, Event, Evidence
from app.chaos.growth import growth
from app.chaos.kinds import MEANT
from app.chaos.workers import BLOCKED, Life

_STOPS = (*ENDS, "retry_scheduled", "released", "recovered")  # what follows a start
_BYTES_PER_MINUTE, _FILES_PER_MINUTE = 10 * 2**20, 20  # loose: minutes are short for memory


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was not kept."""

    promise: str
    sentence: str


def judge(evidence: Evidence) -> list[Violation]:
    """Everything that is wrong, by promise."""
    return [Violation(name, said) for name, check in CHECKS.items() for said in check(evidence)]


def nothing_lost(e: Evidence) -> Iterator[str]:
    """Whatever was accepted has its row."""
    for asked in e.asked.values():
        if asked.certain and asked.job_id not in e.rows:
            yield f"{asked.job_id} ({asked.args.kind}) was accepted and has no row"


def nothing_invented(e: Evidence) -> Iterator[str]:
    """Every row was asked for."""
    for job_id in e.rows.keys() - e.asked.keys():
        yield f"{job_id} was not asked for"


def one_end(e: Evidence) -> Iterator[str]:
    """Every job has ended, and once since it was last retried by a person."""
    for row in e.rows.values():
        ends = 0
        for event in e.events.get(row.id, ()):
            ends = 0 if event.retried else ends + (event.kind in ENDS)
        if row.status not in ENDS:
            yield f"{row.id} ({row.kind}) is still {row.status}: {e.trail(row.id)}"
        elif ends != 1:
            yield f"{row.id} ({row.kind}) has {ends} ends: {e.trail(row.id)}"


def right_end(e: Evidence) -> Iterator[str]:
    """A job ends as it was meant to: none is poison, none fails by another's fault."""
    for row in e.rows.values():
        asked = e.asked.get(row.id)
        if asked is None or row.status not in ENDS:
            continue
        meant = row.status in asked.ends and (row.status != "failed" or row.error_type == MEANT)
        if not meant:
            how = f"{row.status} ({row.error_type})" if row.error_type else row.status
            yield f"{row.id} ({row.kind}) is {how}, not {' or '.join(sorted(asked.ends))}"


def effects_once(e: Evidence) -> Iterator[str]:
    """No item was done twice."""
    for job_id, items in e.effects.items():
        twice = sorted(item for item, count in items.items() if count > 1)
        if twice:
            yield f"{job_id} did {len(twice)} items more than once, {twice[0]} first"


def effects_whole(e: Evidence) -> Iterator[str]:
    """The items that the row counts are done, and no others; all of them where it completed."""
    for row in e.rows.values():
        done, asked = set(e.effects.get(row.id, ())), e.asked.get(row.id)
        if done != set(range(row.processed)):
            yield f"{row.id} ({row.kind}) counts {row.processed} items and did {len(done)}"
        if asked is not None and row.status == "completed" and row.processed != asked.args.items:
            yield f"{row.id} ({row.kind}) completed {row.processed} of {asked.args.items} items"
    for job_id in e.effects.keys() - e.rows.keys():
        yield f"{job_id} has effects and no row"


def one_of_a_lane(e: Evidence) -> Iterator[str]:
    """Two jobs of a lane never run at the same time."""
    for lane, ids in _lanes(e).items():
        runs = [run for job_id in ids for run in _runs(e.events.get(job_id, ()))]
        for (_, stop), (start, _) in pairwise(sorted(runs, key=_began)):
            if start.at < stop.at:
                both = f"{stop.job_id} and {start.job_id}"
                yield f"{both} of {lane} ran at the same time, at {start.at:%H:%M:%S.%f}"


def lane_in_order(e: Evidence) -> Iterator[str]:
    """Of a lane, what was accepted before another was asked for is started first."""
    for lane, ids in _lanes(e).items():
        for first, second in combinations(ids, 2):
            a, b = e.asked.get(first), e.asked.get(second)
            if a is None or b is None or not a.certain or a.accepted_at >= b.asked_at:
                continue
            start, other = _first_start(e, first), _first_start(e, second)
            if other is not None and (start is None or other.at < start.at):
                yield f"{second} of {lane} was started before {first}, which was there first"


def not_before_time(e: Evidence) -> Iterator[str]:
    """A job that was asked for later is not started earlier."""
    for asked in e.asked.values():
        start = _first_start(e, asked.job_id)
        if asked.not_before is not None and start is not None and start.at < asked.not_before:
            yield f"{asked.job_id} was started at {start.at}, before {asked.not_before}"


def domain_agrees(e: Evidence) -> Iterator[str]:
    """What the hook wrote of a job agrees with its row."""
    for job_id, status in e.standing.items():
        row = e.rows.get(job_id)
        if row is None or row.status != status:
            yield f"{job_id} is {row.status if row else 'gone'}, its domain says {status}"


def workers_stay(e: Evidence) -> Iterator[str]:
    """No worker ends by itself, save one that was frozen (75); told to stop, it ends with 0."""
    for life in e.lives:
        if not _ended_well(life):
            told = f"after {life.told.name}" if life.told else "by itself"
            yield f"{life.name} (pid {life.pid}) ended {told} with {life.code}"


def workers_stay_small(e: Evidence) -> Iterator[str]:
    """Neither memory nor open files grow without bound."""
    for life in e.lives:
        grown = growth(life)
        if grown is not None and grown.bytes_per_minute > _BYTES_PER_MINUTE:
            yield f"{life.name} (pid {life.pid}) grew by {grown.bytes_per_minute:,.0f} bytes/min"
        if grown is not None and grown.files_per_minute > _FILES_PER_MINUTE:
            yield f"{life.name} (pid {life.pid}) opened {grown.files_per_minute:.0f} files/min"


def no_surprise(e: Evidence) -> Iterator[str]:
    """Everything recovered, and nothing failed that no fault explains."""
    yield from e.surprises


CHECKS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "lost": nothing_lost,
    "invented": nothing_invented,
    "not one end": one_end,
    "wrong end": right_end,
    "doubled effect": effects_once,
    "wrong effects": effects_whole,
    "overlap in a lane": one_of_a_lane,
    "disorder in a lane": lane_in_order,
    "too early": not_before_time,
    "domain disagrees": domain_agrees,
    "worker ended": workers_stay,
    "worker grew": workers_stay_small,
    "surprise": no_surprise,
}


def _ended_well(life: Life) -> bool:
    if life.told is signal.SIGKILL:
        return True
    if life.told is signal.SIGTERM:
        return life.code == 0
    return life.code is None or (life.code == BLOCKED and life.frozen)


def _lanes(e: Evidence) -> dict[str, list[UUID]]:
    lanes: dict[str, list[UUID]] = {}
    for row in e.rows.values():
        if row.lane is not None:
            lanes.setdefault(row.lane, []).append(row.id)
    return lanes


def _runs(events: Sequence[Event]) -> Iterator[tuple[Event, Event]]:
    """Each start of a job with what ended that run."""
    start = None
    for event in events:
        if event.kind == "started":
            start = event
        elif start is not None and event.kind in _STOPS:
            yield start, event
            start = None


def _began(run: tuple[Event, Event]) -> datetime:
    return run[0].at


def _first_start(e: Evidence, job_id: UUID) -> Event | None:
    return next((event for event in e.events.get(job_id, ()) if event.kind == "started"), None)
