from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backups.parsers.apple_time import EPOCH, from_apple

MICROSECONDS = st.integers(10**9, 6_200_000_000 * 10**6)  # since 2001, until 2197


@pytest.mark.parametrize(
    ("stamp", "when"),
    [
        (469908586, datetime(2015, 11, 22, 18, 9, 46, tzinfo=UTC)),
        (469908586 * 10**9, datetime(2015, 11, 22, 18, 9, 46, tzinfo=UTC)),
        (758573156.2279999, datetime(2025, 1, 14, 18, 45, 56, 228000, tzinfo=UTC)),
        (1, EPOCH + timedelta(seconds=1)),
        (-86400, datetime(2000, 12, 31, tzinfo=UTC)),
        (-12_000_000_000, EPOCH - timedelta(seconds=12_000_000_000)),
        (500_000_000 * 10**9 + 1_999, EPOCH + timedelta(seconds=500_000_000, microseconds=1)),
    ],
)
def test_seconds_and_nanoseconds_are_told_apart(stamp: float, when: datetime) -> None:
    assert from_apple(stamp) == when


@pytest.mark.parametrize(
    "stamp",
    [
        *(None, 0, 0.0, -63114076800, 2**63 - 1, -(2**63), 9 * 10**10),
        *(float("nan"), float("inf"), float("-inf"), 1e300, "12345", b"1", True),
    ],
)
def test_what_is_no_time_is_none(stamp: object) -> None:
    assert from_apple(stamp) is None


@given(MICROSECONDS)
def test_nanoseconds_come_back_to_the_microsecond(microseconds: int) -> None:
    assert from_apple(microseconds * 1000) == EPOCH + timedelta(microseconds=microseconds)


@given(st.integers() | st.floats() | st.text() | st.binary())
def test_nothing_makes_it_raise(stamp: object) -> None:
    when = from_apple(stamp)

    assert when is None or when.tzinfo is UTC
