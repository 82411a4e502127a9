"""Whether a process grows: the slope of what it uses, once it has warmed up."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

from app.chaos.workers import Life

_WARM_AFTER = 20.0  # seconds for imports, pools and caches
_LONG_ENOUGH = 60.0  # seconds; a slope over less says nothing


@dataclass(frozen=True, slots=True)
class Growth:
    """What a worker gained per minute of its life."""

    bytes_per_minute: float
    files_per_minute: float


def growth(life: Life) -> Growth | None:
    """The slope of a life; None when it was too short for one."""
    warm = [sample for sample in life.samples if sample.at - life.began > _WARM_AFTER]
    if not warm or warm[-1].at - warm[0].at < _LONG_ENOUGH:
        return None
    minutes = [sample.at / 60 for sample in warm]
    return Growth(
        _slope(minutes, [float(sample.resident_bytes) for sample in warm]),
        _slope(minutes, [float(sample.open_files) for sample in warm]),
    )


def _slope(minutes: Sequence[float], values: Sequence[float]) -> float:
    return linear_regression(minutes, values).slope
