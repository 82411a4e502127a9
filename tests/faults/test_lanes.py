"""Lanes with workers of both engines and rolled-back claims, at a tenth of the benchmark's size."""

import pytest

from benchmarks.lanes import measure

pytestmark = [pytest.mark.fault, pytest.mark.slow]


async def test_lanes_keep_their_order_and_hold_nobody_up() -> None:
    verdict = await measure(jobs=1000, lanes=50, seconds=90)

    assert verdict.kept, verdict
    assert verdict.free_done_s < verdict.laned_done_s
