"""Apple's absolute time, in seconds or nanoseconds, as aware UTC datetimes.

Source: docs/formats.md, Times. Seconds count from 2001-01-01 UTC; `sms.db` has used
nanoseconds since iOS 11, so the unit is decided per value.
"""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(2001, 1, 1, tzinfo=UTC)
_NANOSECONDS_FROM = 10**11  # as seconds this would be the year 5170, so it must be nanoseconds
# Apple stores "year 1" and the like for "none"; 1604 is its year for a birthday without one.
_EARLIEST_S = int((datetime(1600, 1, 1, tzinfo=UTC) - EPOCH).total_seconds())
_LATEST_S = int((datetime(2200, 1, 1, tzinfo=UTC) - EPOCH).total_seconds())

_LATEST_NS = _LATEST_S * 1_000_000_000


def from_apple(stamp: object) -> datetime | None:
    """Convert an Apple timestamp, whichever unit it is in.

    Args:
        stamp: seconds or nanoseconds since 2001-01-01 UTC, int or float, as a database column
            gave it. None, 0, NaN, anything that is no number, and times outside the years
            1600-2199 (nanoseconds: 2001-2199) all mean "not set".

    Returns:
        Aware UTC datetime, to the microsecond (the rest is cut off), or None where not set.
    """
    if not stamp:
        return None
    if type(stamp) is int:
        if _NANOSECONDS_FROM < stamp < _LATEST_NS:  # nearly every time there is
            return EPOCH + timedelta(0, 0, stamp // 1000)
        if not -_NANOSECONDS_FROM <= stamp <= _NANOSECONDS_FROM:
            return None  # iOS 11 and later, and nothing of 1708, is told in nanoseconds
        seconds, micros = stamp, 0
    elif type(stamp) is float:
        scaled = stamp / 1e9 if abs(stamp) > _NANOSECONDS_FROM else stamp
        if not _EARLIEST_S <= scaled < _LATEST_S:  # also refuses NaN and the infinities
            return None
        seconds, micros = divmod(round(scaled * 1_000_000), 1_000_000)
    else:
        return None
    if not _EARLIEST_S <= seconds < _LATEST_S:
        return None
    return EPOCH + timedelta(0, seconds, micros)
