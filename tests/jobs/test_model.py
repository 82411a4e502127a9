"""Whatever people, workers, clocks and Redis do, in whatever order: the table keeps its promises.

Hypothesis plays. Every act is done on the real SQL and on the model beside it; after each the rows
are the model's, and the promises hold (`promises.py`). When a play is over, workers run, and every
job reaches its end.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from app.core.errors import Conflict
from app.jobs.context import JobCancelled
from app.jobs.failures import LAPSE_GROWTH
from app.jobs.store import steps
from app.jobs.store.claim import Due, Rung, Suspect
from app.jobs.store.sweep import Lost
from tests.conftest import MakeSettings
from tests.jobs.hands import WORKERS, WRITES, Handle, ending, failure
from tests.jobs.machine import HOUR, LAPSE_BACKOFF, LONG, JobTable, one_of, some_of
from tests.jobs.model import CANCELLED, FAILED, Job
from tests.jobs.tables import (
    LEASE,
    REGISTRY,
    Hooked,
    Once,
    Plain,
    Tables,
    Urgent,
    do_item,
    open_tables,
)

Request = tuple[type[Plain], str | None, str | None, float]
requests: st.SearchStrategy[Request] = st.tuples(
    st.sampled_from([Plain, Plain, Urgent, Once, Hooked]),
    st.sampled_from([None, None, "a", "b"]),  # the lane
    st.sampled_from([None, None, "x"]),  # the unique key
    st.sampled_from([0.0, 0.0, 0.0, HOUR]),
)
workers = st.sampled_from(sorted(WORKERS))


class People(JobTable):
    """What people do."""

    @initialize(first=st.lists(requests, min_size=2, max_size=6), taken=st.integers(1, 3))
    def begin(self, first: list[Request], taken: int) -> None:
        """Begin with a few jobs, some of them running, so that there is something to play with."""
        for request in first:
            self.ask(request)
        ready = self.ready("bob")
        self.claim("bob", Due(taken), ready[:taken])

    @rule(request=requests)
    def enqueue(self, request: Request) -> None:
        """Ask for one more."""
        self.ask(request)

    def ask(self, request: Request) -> None:
        """Ask for a job; while an equal one is active, that one is given back."""
        kind, lane, key, delay = request
        equal = self.model.equal(kind.kind, key)
        stored = self.tables.ask(kind(lane_name=lane, key=key), delay)

        assert stored.new == (equal is None)
        if equal is not None:
            assert stored.id == equal.id
            return
        row = self.tables.look().rows[stored.id]
        budget = REGISTRY[kind.kind].max_attempts
        asked = (stored.queue, lane, key, kind.priority, budget, row.run_after)
        job = self.model.jobs[row.id] = Job(row.id, row.seq, kind.kind, *asked)
        self.requeued(job, delay)

    @precondition(lambda self: self.jobs)
    @rule(job=one_of(lambda self: self.jobs + 2 * self.active))
    def cancel(self, job: Job) -> None:
        """Cancel what waits, ask what runs to stop; an end is final."""
        act = self.tables.db.run(lambda s: self.tables.ledger.cancel(s, job.id, None))
        if job.active:
            self.do(act)
            job.cancel()
        else:
            with pytest.raises(Conflict):
                self.do(act)

    @precondition(lambda self: self.jobs)
    @rule(job=one_of(lambda self: self.jobs + 2 * self.ended))
    def retry(self, job: Job) -> None:
        """Try again what failed or was cancelled, unless an equal job is active."""
        act = self.tables.db.run(lambda s: self.tables.ledger.retry(s, job.id, None))
        if job.status in (FAILED, CANCELLED) and not self.model.equal(job.kind, job.unique_key):
            self.do(act)
            job.retry(REGISTRY[job.kind].max_attempts)
            self.requeued(job, 0)
        else:
            with pytest.raises(Conflict):
                self.do(act)


class Workers(JobTable):
    """What workers do."""

    @precondition(lambda self: self.jobs)
    @rule(worker=workers, limit=st.integers(1, 4))
    def claim_due(self, worker: str, limit: int) -> None:
        """Best first: by priority, due time and arrival; of a lane its head, if none runs."""
        ready = [job for job in self.ready(worker) if not job.lapses]
        self.claim(worker, Due(limit), ready[:limit])

    @precondition(lambda self: any(job.lapses for job in self.jobs))
    @rule(worker=workers)
    def claim_suspect(self, worker: str) -> None:
        """One job that lost its last worker."""
        self.claim(worker, Suspect(), [job for job in self.ready(worker) if job.lapses][:1])

    @precondition(lambda self: self.jobs)
    @rule(worker=st.sampled_from(["ann", "bob"]), rung=some_of(lambda self: self.jobs))
    def claim_rung(self, worker: str, rung: list[Job]) -> None:
        """The jobs that were rung for, and the heads of their lanes."""
        ids = [job.id for job in rung]
        lanes = self.model.lanes(ids)
        ready = [job for job in self.ready(worker) if not job.lapses]
        heard = [job for job in ready if (job.lane in lanes if job.lane else job.id in ids)]
        self.claim(worker, Rung(ids), heard[: len(ids)])

    @precondition(lambda self: self.live)
    @rule(handle=one_of(lambda self: self.live))
    def step(self, handle: Handle) -> None:
        """Do an item. Who was asked to stop hears of it after the step is stored."""
        job = self.job(handle)
        job.step()
        if job.cancel_requested:
            with pytest.raises(JobCancelled):
                self.do(do_item(handle.ctx))
        else:
            self.do(do_item(handle.ctx))

    @precondition(lambda self: self.live)
    @rule(worker=workers)
    def heartbeat(self, worker: str) -> None:
        """Renew all that a worker believes to hold; it is told what it does hold."""
        held = {h.claim.id: h.claim.lease_token for h in self.handles if h.worker == worker}
        renewed = self.do(self.tables.db.run(lambda s: steps.renew(s, held, LEASE)))

        still = [
            job for job in self.jobs if job.lease_token and job.lease_token == held.get(job.id)
        ]
        assert renewed == {job.id: job.cancel_requested for job in still}
        for job in still:
            job.lapsed = False

    @precondition(lambda self: self.live)
    @rule(handles=some_of(lambda self: self.handles), at_once=st.booleans())
    def finish(self, handles: list[Handle], at_once: bool) -> None:
        """Complete a few together, of which some may be lost; the short way knows no hooks."""
        together = [h for h in handles if not (at_once and h.claim.kind == "hooked")]
        ledger = self.ledgers["ann"]
        complete = ledger.complete_at_once if at_once else ledger.complete
        written = self.do(complete([ending(handle) for handle in together]))

        ended = {handle.claim.id for handle in together if self.stands(handle)}
        assert written == ended
        for job_id in ended:
            self.model.jobs[job_id].complete()

    @precondition(lambda self: self.live)
    @rule(handle=one_of(lambda self: self.live), retry_in=st.sampled_from([None, 0.0, HOUR]))
    def fail(self, handle: Handle, retry_in: float | None) -> None:
        """End an attempt badly, for good or for now."""
        assert self.do(failure(retry_in)(self.ledgers[handle.worker], handle))
        job = self.job(handle)
        job.fail(again=retry_in is not None)
        self.requeued(job, retry_in or 0)

    @precondition(lambda self: self.live)
    @rule(handle=one_of(lambda self: self.live))
    def release(self, handle: Handle) -> None:
        """Hand a job back, as a worker that stops."""
        assert self.do(self.ledgers[handle.worker].release(handle.claim))
        job = self.job(handle)
        job.release()
        self.requeued(job, 0)

    @precondition(lambda self: any(self.job(each).cancel_requested for each in self.live))
    @rule(handle=one_of(lambda self: [h for h in self.live if self.job(h).cancel_requested]))
    def stop(self, handle: Handle) -> None:
        """Stop, because a person asked."""
        assert self.do(self.ledgers[handle.worker].cancelled(handle.claim))
        self.job(handle).stop()

    @precondition(lambda self: self.zombies)
    @rule(handle=one_of(lambda self: self.zombies), how=st.sampled_from(sorted(WRITES)))
    def zombie_write(self, handle: Handle, how: str) -> None:
        """Whatever a worker writes that has lost its job: it is told so, and nothing changes."""
        before = self.tables.look()
        assert not self.do(WRITES[how](self.ledgers[handle.worker], handle))
        assert self.tables.look() == before


class Mishaps(People, Workers):
    """What clocks, lost workers and Redis do, to them."""

    @precondition(lambda self: self.live)
    @rule(handle=one_of(lambda self: self.live), then=st.sampled_from(["step", "cancel", ""]))
    def expire(self, handle: Handle, then: str) -> None:
        """Let a lease end. A sweep sees it and is slow to act; meanwhile this or that happens."""
        self.tables.expire(handle.claim.id)
        self.job(handle).lapsed = True

        seen = self.tables.lapsed()
        assert {each.id for each in seen} == {job.id for job in self.jobs if job.lapsed}
        self.lost += seen
        if then == "step":
            self.step(handle)
        elif then == "cancel":
            self.cancel(self.job(handle))

    @precondition(lambda self: self.lost)
    @rule(lost=one_of(lambda self: self.lost), dead=st.booleans())
    def recover(self, lost: Lost, dead: bool) -> None:
        """Take a job from a worker that is dead or has let its lease end, if it is still so."""
        self.lost.remove(lost)
        self.take_back(lost, dead)

    @precondition(lambda self: self.live)
    @rule(handle=one_of(lambda self: self.live), times=st.integers(1, 3))
    def crash(self, handle: Handle, times: int) -> None:
        """Kill up to three workers in a row with jobs in their hands that have lost others."""
        crashing = [handle]
        for _ in range(times):
            self.tables.expire(*(each.claim.id for each in crashing))
            for lost in self.tables.lapsed():
                self.take_back(lost, dead=True)
            self.age(LONG)
            suspects = [job for job in self.ready("bob") if job.lapses]
            crashing = self.claim("bob", Suspect(), suspects[:1])

    def take_back(self, lost: Lost, dead: bool) -> None:
        job = self.model.jobs[lost.id]
        gone = job.still_as(lost) and (dead or job.lapsed)
        went = self.do(self.tables.ledger.recover(lost, must_have_lapsed=not dead))
        if gone:
            job.recover(only_once=job.kind == "once")
            self.requeued(job, LAPSE_BACKOFF * 0.5 * LAPSE_GROWTH ** (job.lapses - 1))
        assert went == (job.status if gone else None)

    @precondition(lambda self: len(self.waiting) > len(self.model.due()))
    @rule()
    def wait(self) -> None:
        """Let hours pass, so that all that waits is due."""
        self.age(LONG)

    @precondition(lambda self: len(self.tables.rings.held) != len(self.model.due()))
    @rule()
    def flush(self) -> None:
        """Redis loses everything; the sweep rings for all that are due, under new numbers."""
        self.tables.rings.held.clear()
        self.age(10)
        rung = self.tables.ring_again()

        due = self.model.due()
        assert {job_id for job_id, _number in self.tables.rings.held} == {job.id for job in due}
        assert rung == len(due)


@pytest.fixture
def tables(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    monkeypatch.setattr("app.jobs.failures._LAPSE_BACKOFF", LAPSE_BACKOFF)
    monkeypatch.setattr("app.jobs.worker._SUSPECT_SECONDS", 0.0)
    with open_tables(make_settings()) as opened:
        yield opened


def play(tables: Tables, *, plays: int, acts: int) -> None:
    """Play, the same each time. A play that fails is printed as a program of few acts."""
    how = settings(
        max_examples=plays,
        stateful_step_count=acts,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )

    def machine() -> Mishaps:
        return Mishaps(tables)

    run_state_machine_as_test(machine, settings=how)  # type: ignore[arg-type]


def test_the_tables_do_what_the_model_does(tables: Tables) -> None:
    play(tables, plays=15, acts=25)


@pytest.mark.fault
@pytest.mark.slow
def test_the_tables_do_what_the_model_does_for_long(tables: Tables) -> None:
    play(tables, plays=70, acts=50)
