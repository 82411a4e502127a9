"""Recurrences of the Calendar database as RFC 5545 rules.

A specifier looks like "D=0MO,+2WE,-1FR;O=3": `D` days, 0 for every one; `M` days of the month, `O`
months, `S` positions, `Y` days of the year, `W` weeks.

Source: docs/formats.md, Calendar; RFC 5545, 3.3.10, which also says what goes with what.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

_FREQUENCIES = {1: "DAILY", 2: "WEEKLY", 3: "MONTHLY", 4: "YEARLY"}
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY = re.compile(r"([+-]?\d{1,2})?\s*(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?\d{1,3}")
_MAX_SPECIFIER = 10_000  # characters; real ones have some ten
_MAX_COUNT = 1_000_000


class _Part(NamedTuple):
    """One BY... part: its name, the largest number, and the frequencies that it goes with."""

    name: str
    largest: int
    frequencies: frozenset[str]
    negative: bool = True


_ALL = frozenset(_FREQUENCIES.values())
_PARTS = {
    "O": _Part("BYMONTH", 12, _ALL, negative=False),
    "W": _Part("BYWEEKNO", 53, frozenset({"YEARLY"})),
    "Y": _Part("BYYEARDAY", 366, frozenset({"YEARLY"})),
    "M": _Part("BYMONTHDAY", 31, _ALL - {"WEEKLY"}),
}
_WITH_ORDINALS = frozenset({"MONTHLY", "YEARLY"})
_POSITIONS = _Part("BYSETPOS", 366, _ALL)


class Recurrence(NamedTuple):
    """A row of Recurrence, as it is stored; anything may have the wrong type."""

    frequency: object
    interval: object
    times: object
    week_start: object
    specifier: object


def to_rrule(
    recurrence: Recurrence, until: datetime | None, *, floating: bool, all_day: bool
) -> str | None:
    """The rule without "RRULE:", or None for a frequency that is none.

    Parts that RFC 5545 forbids are left out, as are those that change nothing.

    Args:
        recurrence: the row.
        until: its end, or None; a count goes before it, since a rule may not have both.
        floating: the end is a wall-clock time.
        all_day: the end is a day.
    """
    code = recurrence.frequency
    frequency = _FREQUENCIES.get(code) if type(code) is int else None
    if frequency is None:
        return None
    found = [f"FREQ={frequency}"]
    interval = _up_to(recurrence.interval, _MAX_COUNT) or 1
    if interval > 1:
        found.append(f"INTERVAL={interval}")
    if count := _up_to(recurrence.times, _MAX_COUNT):
        found.append(f"COUNT={count}")
    elif until is not None:
        found.append(f"UNTIL={_until(until, floating=floating, all_day=all_day)}")
    by = dict(_by(recurrence.specifier, frequency))
    week = _up_to(recurrence.week_start, 7)
    counts_weeks = "BYWEEKNO" in by or (frequency == "WEEKLY" and interval > 1 and "BYDAY" in by)
    if week is not None and week > 1 and counts_weeks:
        found.append(f"WKST={_DAYS[week - 1]}")
    found += [f"{name}={values}" for name, values in by.items()]
    return ";".join(found)


def _by(specifier: object, frequency: str) -> Iterator[tuple[str, str]]:
    """The BY... parts of a specifier."""
    if not isinstance(specifier, str) or len(specifier) > _MAX_SPECIFIER:
        return
    pairs = (piece.partition("=") for piece in specifier.upper().split(";"))
    given = {name.strip(): values for name, _, values in pairs}
    any_part = False
    for letter, part in _PARTS.items():
        numbers = _numbers(given.get(letter, ""), part)
        if numbers and frequency in part.frequencies:
            any_part = True
            yield part.name, numbers
    weeks = frequency == "YEARLY" and _numbers(given.get("W", ""), _PARTS["W"])
    ordinals = frequency in _WITH_ORDINALS and not weeks
    if days := ",".join(_days(given.get("D", ""), ordinals=ordinals)):
        any_part = True
        yield "BYDAY", days
    if any_part and (positions := _numbers(given.get("S", ""), _POSITIONS)):
        yield _POSITIONS.name, positions


def _days(values: str, *, ordinals: bool) -> dict[str, None]:
    found: dict[str, None] = {}
    for value in values.split(","):
        if one := _DAY.fullmatch(value.strip()):
            number = int(one[1] or 0)
            if abs(number) <= 53:
                found[(str(number) if number and ordinals else "") + one[2]] = None
    return found


def _numbers(values: str, part: _Part) -> str:
    found: dict[str, None] = {}
    for value in values.split(","):
        if _NUMBER.fullmatch(value.strip()):
            number = int(value)
            if 0 < abs(number) <= part.largest and (number > 0 or part.negative):
                found[str(number)] = None
    return ",".join(found)


def _up_to(value: object, largest: int) -> int | None:
    return value if type(value) is int and 0 < value <= largest else None


def _until(at: datetime, *, floating: bool, all_day: bool) -> str:
    if all_day:
        return f"{at:%Y%m%d}"
    return f"{at:%Y%m%dT%H%M%S}" if floating else f"{at:%Y%m%dT%H%M%SZ}"
