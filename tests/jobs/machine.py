"""The real tables and the model side by side: what the acts of `test_model.py` have in common."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from app.core.clock import utcnow
from app.jobs.context import JobContext
from app.jobs.ledger import Ledger
from app.jobs.states import ENDS
from app.jobs.store.claim import Ask, Wanted, claim
from app.jobs.store.sweep import Lost
from tests.jobs.hands import WORKERS, Handle
from tests.jobs.model import QUEUED, Job, Model
from tests.jobs.promises import promises_are_kept
from tests.jobs.tables import LEASE, Tables

T = TypeVar("T")

HOUR = 3600.0
LAPSE_BACKOFF = 2 * HOUR  # instead of a quarter of a second: no job becomes due by itself
LONG = 48 * HOUR  # longer than any wait of these plays


class JobTable(RuleBasedStateMachine):
    """Compares after every act; at the end of a play it lets workers run."""

    def __init__(self, tables: Tables) -> None:
        super().__init__()
        self.tables, self.do = tables, tables.do
        tables.clear()
        self.before = tables.look()
        self.model = Model()
        self.handles: list[Handle] = []
        self.lost: list[Lost] = []  # what sweeps have seen; they may act on it late
        self.ledgers = {name: Ledger(tables.db, tables.queue, name) for name in WORKERS}
        self.wanted = {
            name: Wanted(queues, kinds, name, LEASE, hooked=["hooked"])
            for name, (queues, kinds) in WORKERS.items()
        }

    @property
    def jobs(self) -> list[Job]:
        return list(self.model.jobs.values())

    @property
    def active(self) -> list[Job]:
        return [job for job in self.jobs if job.active]

    @property
    def ended(self) -> list[Job]:
        return [job for job in self.jobs if not job.active]

    @property
    def waiting(self) -> list[Job]:
        return [job for job in self.jobs if job.status is QUEUED]

    def job(self, handle: Handle) -> Job:
        return self.model.jobs[handle.claim.id]

    def stands(self, handle: Handle) -> bool:
        return self.job(handle).lease_token == handle.claim.lease_token

    @property
    def live(self) -> list[Handle]:
        return [each for each in self.handles if self.stands(each)]

    @property
    def zombies(self) -> list[Handle]:
        return [each for each in self.handles if not self.stands(each)]

    def ready(self, worker: str) -> list[Job]:
        """What `worker` may start, best first."""
        queues, kinds = WORKERS[worker]
        ready = self.model.ready()
        return [job for job in ready if job.queue in queues and job.kind in kinds]

    def claim(self, worker: str, ask: Ask, expected: Sequence[Job]) -> list[Handle]:
        """Claim, and see that it brings exactly these jobs in this order."""
        tell = self.ledgers[worker].started
        taken = self.do(claim(self.tables.db, self.wanted[worker], ask, tell))

        assert [each.id for each in taken.claims] == [job.id for job in expected]
        assert not taken.spoiled
        used = {handle.claim.lease_token for handle in self.handles}
        for each in taken.claims:
            assert each.lease_token not in used
            self.model.jobs[each.id].claim(each.lease_token)
            tables, ledger = self.tables, self.ledgers[worker]
            ctx = JobContext(each, tables.resources, tables.queue, ledger, LEASE)
            self.handles.append(Handle(worker, each, ctx))
        return self.handles[len(used) :]

    def requeued(self, job: Job, at_least: float) -> None:
        """If `job` has just been queued: see that it waits about so long, and learn until when."""
        if job.status is QUEUED:
            job.run_after = self.tables.look().rows[job.id].run_after
            ahead = (job.run_after - utcnow()).total_seconds()
            assert at_least - 60 <= ahead <= 3 * at_least

    def age(self, seconds: float) -> None:
        """Let time pass for all that wait; no lease ends by it, because workers renew."""
        self.tables_and_model_agree()
        self.tables.age(seconds)
        self.before = self.tables.look()
        for job in self.jobs:
            job.run_after = self.before.rows[job.id].run_after

    @invariant()
    def tables_and_model_agree(self) -> None:
        before, self.before = self.before, self.tables.look()
        rows = self.before.rows
        assert set(rows) == set(self.model.jobs)
        for job in self.jobs:
            expected = asdict(job)
            del expected["lapsed"]
            assert {name: getattr(rows[job.id], name) for name in expected} == expected
        promises_are_kept(before, self.before)
        given = self.tables.rings.given
        assert len(set(given)) == len(given)  # arq would swallow the second of two equal rings

    def teardown(self) -> None:
        """Unless something is wrong already: workers run, and every job reaches its end."""
        if sys.exc_info()[0] is not None:
            return
        self.tables.expire(*self.model.jobs)
        for lost in self.tables.lapsed():
            self.do(self.tables.ledger.recover(lost, must_have_lapsed=True))
        self.tables.age(LONG)
        self.before = self.tables.look()
        self.tables.run_workers()

        end = self.tables.look()
        assert not [row for row in end.rows.values() if row.status not in ENDS]
        promises_are_kept(self.before, end)


def one_of(pick: Callable[[JobTable], Sequence[T]]) -> st.SearchStrategy[T]:
    """One of those that there are at that moment."""
    return st.runner().flatmap(lambda machine: st.sampled_from(pick(machine)))


def some_of(pick: Callable[[JobTable], Sequence[T]]) -> st.SearchStrategy[list[T]]:
    """Up to three of those that there are at that moment."""
    return st.runner().flatmap(
        lambda machine: st.lists(
            st.sampled_from(pick(machine)), min_size=1, max_size=3, unique_by=id
        )
    )
