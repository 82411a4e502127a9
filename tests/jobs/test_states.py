"""The state machine is data; the table's transitions are exactly its edges."""

import itertools

import pytest

from app.jobs.states import EDGES, JobStatus, legal

LEGAL = {
    ("queued", "running"), ("queued", "cancelled"), ("queued", "failed"),
    ("running", "completed"), ("running", "failed"), ("running", "cancelled"),
    ("running", "queued"), ("failed", "queued"), ("cancelled", "queued"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "target"), list(itertools.product(JobStatus, JobStatus)))
def test_each_pair_of_states_is_legal_or_not(source: JobStatus, target: JobStatus) -> None:
    assert legal(source, target) == ((source.value, target.value) in LEGAL)


def test_only_a_persons_retry_leads_out_of_an_end() -> None:
    assert {e.name for e in EDGES if any(s.ended for s in e.sources)} == {"retry"}
