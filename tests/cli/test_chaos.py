"""`headway chaos`: it passes, it leaves nothing behind, and its checks do find what is broken."""

import signal
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.chaos import proc
from app.chaos.account import Asked
from app.chaos.checks import CHECKS, judge
from app.chaos.evidence import Event, Evidence, Row
from app.chaos.kinds import MEANT, Brief, Doomed, Laned, Long, Work
from app.chaos.servers import scratch
from app.chaos.workers import BLOCKED, Life, Sample
from app.cli import chaos
from app.cli.errors import UNREACHABLE, explain
from app.core.clock import utcnow
from app.core.errors import Unavailable
from tests.cli.conftest import Terminal, finished, wait_until

NOON = utcnow()


class Story:
    """What a run has left behind, told job by job; a second passes with each line of a trail."""

    def __init__(self) -> None:
        self.asked: dict[UUID, Asked] = {}
        self.rows: dict[UUID, Row] = {}
        self.events: dict[UUID, list[Event]] = {}
        self.effects: dict[UUID, dict[int, int]] = {}
        self.standing: dict[UUID, str] = {}
        self.lives: list[Life] = []
        self.surprises: list[str] = []
        self.second = 0

    def job(self, args: Work, *trail: str, done: int | None = None, error: str = "") -> UUID:
        """A job that was accepted and went the way of `trail`, whose last word is its status."""
        job_id, now = uuid4(), float(self.second)
        processed = args.items if done is None else done
        lane, status = args.lane(), trail[-1]
        self.asked[job_id] = Asked(job_id, args, True, now, now + 0.5)
        self.rows[job_id] = Row(job_id, args.kind, lane, status, error or None, processed)
        self.events[job_id] = [Event(job_id, kind, self.tick()) for kind in ("queued", *trail)]
        self.effects[job_id] = dict.fromkeys(range(processed), 1)
        return job_id

    def change(self, job_id: UUID, **columns: Any) -> None:
        row = self.rows[job_id]
        facts = {name: getattr(row, name) for name in Row.__slots__}
        self.rows[job_id] = Row(**facts | columns)

    def life(self, **facts: Any) -> Life:
        life = Life("arq-1", 4711, 0.0)
        for name, value in facts.items():
            setattr(life, name, value)
        self.lives.append(life)
        return life

    def tick(self) -> datetime:
        self.second += 1
        return NOON + timedelta(seconds=self.second)

    def broken(self) -> set[str]:
        evidence = Evidence(
            self.asked,
            self.rows,
            self.events,
            self.effects,
            self.standing,
            self.lives,
            self.surprises,
        )
        return {violation.promise for violation in judge(evidence)}


# ------------------------------------------------------------------------ what has to be found


def lost(story: Story) -> None:
    job_id = story.job(Brief(), "started", "completed")
    for table in (story.rows, story.events, story.effects):
        del table[job_id]


def invented(story: Story) -> None:
    del story.asked[story.job(Brief(), "started", "completed")]


def ended_twice(story: Story) -> None:
    story.job(Brief(), "started", "completed", "started", "completed")


def ended_without_a_line(story: Story) -> None:
    job_id = story.job(Brief(), "started", "completed")
    del story.events[job_id][-1]


def never_ended(story: Story) -> None:
    story.job(Brief(), "started", "running")


def poisoned(story: Story) -> None:
    story.job(Brief(), "started", "failed", error="poison")


def doomed_by_something_else(story: Story) -> None:
    story.job(Doomed(items=4), "started", "failed", done=2, error="unavailable")


def cancelled_by_nobody(story: Story) -> None:
    story.job(Long(items=5), "started", "cancelled", done=2, error="cancelled")


def did_an_item_twice(story: Story) -> None:
    story.effects[story.job(Long(items=5), "started", "completed")][3] = 2


def left_an_item_out(story: Story) -> None:
    del story.effects[story.job(Long(items=5), "started", "completed")][3]


def completed_half(story: Story) -> None:
    story.job(Long(items=6), "started", "completed", done=3)


def did_what_was_rolled_back(story: Story) -> None:
    job_id = story.job(Doomed(items=4), "started", "failed", done=2, error=MEANT)
    story.effects[job_id][2] = 1


def ran_side_by_side(story: Story) -> None:
    first = story.job(Laned(items=1, track=1), "started", "completed")
    second = story.job(Laned(items=1, track=1), "started", "completed")
    begin, end = story.events[first][1].at, story.events[first][2].at
    story.events[second][1] = Event(second, "started", begin + (end - begin) / 2)


def overtook(story: Story) -> None:
    slow = story.job(Laned(items=1, track=1), "started", "completed")
    story.job(Laned(items=1, track=1), "started", "completed")
    story.events[slow] = [Event(slow, each.kind, story.tick()) for each in story.events[slow]]


def started_early(story: Story) -> None:
    job_id = story.job(Brief(), "started", "completed")
    story.asked[job_id].not_before = story.events[job_id][1].at + timedelta(milliseconds=1)


def domain_says_otherwise(story: Story) -> None:
    job_id = story.job(Laned(items=1, track=1), "started", "completed")
    story.standing[job_id] = "running"


def worker_crashed(story: Story) -> None:
    story.life(code=1)


def worker_blocked_without_a_freeze(story: Story) -> None:
    story.life(code=BLOCKED)


def worker_did_not_heed_sigterm(story: Story) -> None:
    story.life(told=signal.SIGTERM, code=-signal.SIGKILL)


def worker_leaked_memory(story: Story) -> None:
    story.life().samples = [Sample(float(n), n * 2**20, 20) for n in range(120)]


def worker_leaked_files(story: Story) -> None:
    story.life().samples = [Sample(float(n), 2**26, n) for n in range(120)]


def did_not_recover(story: Story) -> None:
    story.surprises.append("Redis hung: no fresh job was done")


@pytest.mark.parametrize(
    ("spoil", "promise"),
    [
        (lost, "lost"),
        (invented, "invented"),
        (ended_twice, "not one end"),
        (ended_without_a_line, "not one end"),
        (never_ended, "not one end"),
        (poisoned, "wrong end"),
        (doomed_by_something_else, "wrong end"),
        (cancelled_by_nobody, "wrong end"),
        (did_an_item_twice, "doubled effect"),
        (left_an_item_out, "wrong effects"),
        (completed_half, "wrong effects"),
        (did_what_was_rolled_back, "wrong effects"),
        (ran_side_by_side, "overlap in a lane"),
        (overtook, "disorder in a lane"),
        (started_early, "too early"),
        (domain_says_otherwise, "domain disagrees"),
        (worker_crashed, "worker ended"),
        (worker_blocked_without_a_freeze, "worker ended"),
        (worker_did_not_heed_sigterm, "worker ended"),
        (worker_leaked_memory, "worker grew"),
        (worker_leaked_files, "worker grew"),
        (did_not_recover, "surprise"),
    ],
)
def test_a_broken_promise_is_named(spoil: Callable[[Story], None], promise: str) -> None:
    story = Story()
    spoil(story)

    assert story.broken() == {promise}
    assert promise in CHECKS


def test_what_may_happen_breaks_no_promise() -> None:
    story = Story()
    story.job(Brief(), "started", "recovered", "started", "released", "started", "completed")
    story.job(Doomed(items=4), "started", "failed", done=2, error=MEANT)
    for _ in range(3):
        story.job(Laned(items=2, track=1), "started", "completed")
    cancelled = story.job(Long(items=9), "started", "cancelled", done=3, error="cancelled")
    story.asked[cancelled].ends.add("cancelled")
    unheard = story.job(Brief(), "completed")  # its commit was never heard of, nor is it there
    for table in (story.rows, story.events, story.effects):
        del table[unheard]
    story.asked[unheard].certain = False
    story.life()
    story.life(told=signal.SIGKILL, code=-signal.SIGKILL)
    story.life(told=signal.SIGTERM, code=0)
    story.life(frozen=True, code=BLOCKED)

    assert story.broken() == set()


def test_a_retry_by_a_person_makes_another_end_possible() -> None:
    story = Story()
    job_id = story.job(Brief(), "started", "cancelled", "queued", "started", "completed")
    story.events[job_id][3] = Event(job_id, "queued", story.events[job_id][3].at, retried=True)

    assert story.broken() == set()


# ---------------------------------------------------------------------------- the command itself


def test_without_the_test_servers_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "find_spec", lambda _name: None)

    with pytest.raises(Unavailable, match="make install") as raised:
        chaos.chaos()

    assert explain(raised.value)[1] == UNREACHABLE


@pytest.mark.fault
@pytest.mark.slow
def test_half_a_minute_of_chaos_breaks_no_promise(terminal: Terminal) -> None:
    with terminal.open("chaos", "--seed", "5", "--minutes", "0.5") as process:
        done = finished(process, seconds=240)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "verdict  every promise kept"


@pytest.fixture
def corner() -> Iterator[Path]:
    """A scratch folder that a PostgreSQL of another user can reach."""
    with scratch("corner") as folder:
        yield folder


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_however_chaos_ends_nothing_of_it_stays(
    terminal: Terminal, corner: Path, how: signal.Signals, code: int
) -> None:
    with terminal.open("chaos", "--minutes", "1", TMPDIR=str(corner)) as process:
        assert process.stdout is not None
        assert "at work" in process.stdout.readline()
        assert len(proc.working_below(corner)) > 5  # four workers, a Valkey, some of PostgreSQL

        process.send_signal(how)
        process.communicate(timeout=30)

    assert process.returncode == code
    wait_until(lambda: not proc.working_below(corner))
    wait_until(lambda: not list(corner.iterdir()))
