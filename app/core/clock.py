"""The wall clock and the boot clock, read in one place."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

Clock = Callable[[], datetime]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def utcnow() -> datetime:
    """The present as an aware UTC datetime, to the microsecond."""
    return datetime.now(UTC)


def wire(moment: datetime) -> str:
    """RFC 3339 in UTC with six fractional digits and `Z`: the one form used on the wire.

    SQLite stores times in the same form, because it sorts as text in the order of time.
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def boot_seconds() -> float:
    """Seconds since this machine booted, sleep included; no wall-clock jump moves it.

    Where the system has no such clock it is `time.monotonic()`.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def boot_id() -> str:
    """What names this boot of this machine; empty where the system does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
