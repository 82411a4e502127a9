"""How a job reads: values in, words out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest

from app.api.examples import JOB
from app.dashboard import shown
from app.jobs.store.read import JobView

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    changes: Mapping[str, object]
    state: str
    items: str
    pace: str


def view(**changes: object) -> JobView:
    return msgspec.convert(JOB | changes, JobView)


@pytest.mark.parametrize(
    "case",
    [
        Case({}, "embedding", "100 of 150", "8.0/s · 12 s left"),
        Case({"stage": None}, "running", "100 of 150", "8.0/s · 12 s left"),
        Case({"cancel_requested": True}, "stopping", "100 of 150", "8.0/s · 12 s left"),
        Case(
            {"items_per_second": 1234.5, "eta_seconds": None, "failed_items": 2},
            "embedding",
            "102 of 150, 2 failed",
            "1,234/s",
        ),
        Case(
            {"status": "queued", "scheduled_at": "2026-11-21T13:00:00.000000Z"},
            "scheduled",
            "100 of 150",
            "8.0/s · 12 s left",
        ),
        Case(
            {"status": "failed", "total_items": None, "processed_items": 0}
            | {"items_per_second": None, "eta_seconds": None},
            "failed",
            "",
            "",
        ),
    ],
)
def test_a_job_in_words(case: Case) -> None:
    job = view(**case.changes)

    assert (shown.state(job), shown.items(job), shown.pace(job)) == (
        case.state,
        case.items,
        case.pace,
    )


def test_times() -> None:
    assert [shown.duration(s) for s in (0.4, 59, 60, 3599, 7200, 90_000)] == [
        "0 s", "59 s", "1 min", "59 min", "2 h", "1 d",
    ]  # fmt: skip
    assert shown.ago("2026-11-21T11:58:00.000000Z", NOW) == "2 min ago"
    assert shown.ago("2026-11-21T12:00:10.000000Z", NOW) == "in 10 s"
    assert shown.ago("2026-11-21T12:00:00.500000Z", NOW) == "now"
    assert shown.clock("2026-11-21T09:30:12.900000Z", NOW) == "09:30:12"
    assert shown.clock("2026-11-20T09:30:12.900000Z", NOW) == "2026-11-20 09:30:12"
    assert shown.took(view(started_at=None), NOW) == ""
    assert shown.took(view(started_at="2026-11-21T11:59:00.000000Z"), NOW) == "1 min"


def test_json_for_people() -> None:
    assert shown.document('{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert shown.document(None) == ""
    assert len(shown.document('"' + "x" * 10_000 + '"')) < 4_100
    assert shown.facts(msgspec.Raw(b'{"error_type": "poison", "lapses": 3}')) == (
        "error type: poison, lapses: 3"
    )
    assert shown.facts(msgspec.Raw(b"{}")) == ""


def test_what_was_found_is_marked() -> None:
    assert shown.pieces("see you soon", [[4, 7]]) == [
        ("see ", False), ("you", True), (" soon", False),
    ]  # fmt: skip
    assert shown.pieces("abc", [[0, 3], [2, 9], [-1, 2]]) == [("abc", True)]
    assert shown.pieces("abc", None) == [("abc", False)]
    assert shown.pieces(None, [[0, 1]]) == []
